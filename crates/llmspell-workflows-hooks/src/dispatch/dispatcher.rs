use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use llmspell_workflows_basic::{StepError, engine::Call, model::Step, targets};
use serde_json::Value;

use super::{Combine, Fired, Watch, fire};
use crate::{
    Correlations, EventBus, HookContext, HookPoint, HostPoint, Point, Registration, Report, Verdict,
    breaker::Breaker,
    cache::Cache,
    context::{About, Subject},
    registration::{Entry, Member},
    selector::comes_to,
};

/// Hooks at a point, in the order in which they are called.
pub(crate) type Members = Arc<[Member]>;

/// All hooks of a host, and how they are called.
///
/// See the [crate's documentation](crate) for an example.
pub struct HookDispatcher {
    points: HashMap<HookPoint, Chain>,
    /// The numbers of these points, which each step asks for.
    numbers: u128,
    metadata: Arc<BTreeMap<String, Value>>,
    correlations: Correlations,
    events: Option<EventBus>,
    watch: Arc<Watch>,
    pub(crate) cache: Arc<Cache>,
}

/// The hooks at a point.
struct Chain {
    combine: Combine,
    members: Members,
    /// Whether each concerns every step.
    is_for_all: bool,
}

/// Puts a [`HookDispatcher`] together.
#[derive(Default)]
pub struct HookDispatcherBuilder {
    registrations: Vec<Registration>,
    combine: HashMap<HookPoint, Combine>,
    metadata: BTreeMap<String, Value>,
    correlations: Correlations,
    events: Option<EventBus>,
}

impl HookDispatcher {
    /// A dispatcher put together step by step.
    #[must_use]
    pub fn builder() -> HookDispatcherBuilder {
        HookDispatcherBuilder::default()
    }

    /// Calls the hooks at a point that the engine does not come to by itself.
    ///
    /// # Errors
    /// A hook without which this does not happen has failed.
    pub async fn fire<P: Point>(&self, point: P, host: HostPoint) -> Result<Verdict, StepError> {
        let _ = point;
        let Some(chain) = self.points.get(&P::POINT) else { return Ok(Verdict::default()) };
        let place = host.path.clone();
        let context = self.context(P::POINT, Subject::Host(host), About::default());
        let fired = fire(&self.watch, chain.combine, chain.members.clone(), context).await;
        for report in &fired.reports {
            tracing::warn!(target: targets::HOOK, code = report.trouble.code(), path = %place, "{report}");
        }
        match fired.refusal() {
            Some(report) => Err(report.to_error()),
            None => Ok(fired.verdict),
        }
    }

    /// Calls `members` about the step of `call`, and says what went wrong with them.
    pub(crate) async fn fire_at(&self, point: HookPoint, members: Members, call: &Call, about: About) -> Fired {
        let combine = self.points.get(&point).map_or(Combine::Sequence, |chain| chain.combine);
        let context = self.context(point, Subject::Step(call.clone()), about);
        let fired = fire(&self.watch, combine, members, context).await;
        fired.reports.iter().for_each(|report| self.report(call, report));
        fired
    }

    pub(crate) fn report(&self, call: &Call, report: &Report) {
        call.run().warn(report.trouble.code(), call.path(), report.to_string());
        if let Some(events) = &self.events {
            events.hook_trouble(call, report);
        }
    }

    /// The hooks at `point` that the step of `call` concerns.
    pub(crate) fn members(&self, point: HookPoint, call: &Call) -> Option<Members> {
        let chain = self.points.get(&point)?;
        if chain.is_for_all {
            return Some(chain.members.clone());
        }
        let concerned: Vec<_> =
            chain.members.iter().filter(|member| member.entry.selector.concerns(call)).cloned().collect();
        (!concerned.is_empty()).then(|| concerned.into())
    }

    /// Whether any hook stands at `point`.
    #[must_use]
    pub fn has_hooks_at(&self, point: HookPoint) -> bool {
        self.points.contains_key(&point)
    }

    /// Whether any hook stands at `point` of the engine's.
    pub(crate) fn stands_at(&self, point: HookPoint) -> bool {
        point.number().is_some_and(|number| self.numbers & (1 << number) != 0)
    }

    /// Whether a hook may concern `step`.
    pub(crate) fn concerns(&self, step: &Step) -> bool {
        self.points.iter().any(|(point, chain)| {
            comes_to(*point, step) && chain.members.iter().any(|member| member.entry.selector.may_concern(*point, step))
        })
    }

    fn context(&self, point: HookPoint, subject: Subject, about: About) -> HookContext {
        HookContext::new(point, subject, about, self.metadata.clone(), self.correlations.clone())
    }
}

impl HookDispatcher {
    /// The same hooks and some more; what is shared, such as breakers and cached outputs, stays shared.
    #[must_use]
    pub fn with(&self, registrations: impl IntoIterator<Item = Registration>) -> Self {
        let combine = self.points.iter().map(|(point, chain)| (*point, chain.combine)).collect();
        let mut members: HashMap<_, Vec<_>> =
            self.points.iter().map(|(point, chain)| (*point, chain.members.to_vec())).collect();
        registrations.into_iter().for_each(|registration| registration.stand(&mut members));
        members.values_mut().for_each(|members| members.sort_by_key(|member| member.entry.priority));
        let (points, numbers) = chains(members, &combine);
        Self {
            points,
            numbers,
            metadata: self.metadata.clone(),
            correlations: self.correlations.clone(),
            events: self.events.clone(),
            watch: self.watch.clone(),
            cache: self.cache.clone(),
        }
    }
}

impl Registration {
    /// Puts its hooks behind those at their points.
    fn stand(self, members: &mut HashMap<HookPoint, Vec<Member>>) {
        let Self { name, selector, required, timeout, breaker, hooks, priority } = self;
        let entry = Arc::new(Entry { name, priority, selector, required, timeout, breaker: Breaker::new(breaker) });
        for (point, hook) in hooks {
            members.entry(point).or_default().push(Member { entry: entry.clone(), hook });
        }
    }
}

/// What stands at each point, and the numbers of these points.
fn chains(
    members: HashMap<HookPoint, Vec<Member>>,
    combine: &HashMap<HookPoint, Combine>,
) -> (HashMap<HookPoint, Chain>, u128) {
    let numbers = members.keys().filter_map(|point| point.number());
    let numbers = numbers.fold(0, |numbers, number| numbers | (1 << number));
    let chain = |(point, members): (HookPoint, Vec<Member>)| {
        let is_for_all = members.iter().all(|member| member.entry.selector.is_all());
        let combine = combine.get(&point).copied().unwrap_or_default();
        (point, Chain { combine, members: members.into(), is_for_all })
    };
    (members.into_iter().map(chain).collect(), numbers)
}

impl Default for HookDispatcher {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for HookDispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.points.keys()).finish()
    }
}

impl HookDispatcherBuilder {
    /// Adds hooks.
    #[must_use]
    pub fn register(mut self, registration: Registration) -> Self {
        self.registrations.push(registration);
        self
    }

    /// How answers at a point become one; in sequence by default.
    #[must_use]
    pub fn combine<P: Point>(mut self, point: P, combine: Combine) -> Self {
        let _ = point;
        self.combine.insert(P::POINT, combine);
        self
    }

    /// What hooks read under `key`, at every point.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// What ties runs together.
    #[must_use]
    pub fn correlations(mut self, correlations: Correlations) -> Self {
        self.correlations = correlations;
        self
    }

    /// Where it is told what went wrong with hooks, beside the run's warnings.
    #[must_use]
    pub fn events(mut self, events: EventBus) -> Self {
        self.events = Some(events);
        self
    }

    /// The dispatcher.
    #[must_use]
    pub fn build(mut self) -> HookDispatcher {
        self.registrations.sort_by_key(|registration| registration.priority);
        let mut members = HashMap::new();
        self.registrations.into_iter().for_each(|registration| registration.stand(&mut members));
        let (points, numbers) = chains(members, &self.combine);
        HookDispatcher {
            points,
            numbers,
            metadata: Arc::new(self.metadata),
            correlations: self.correlations,
            events: self.events,
            watch: Arc::default(),
            cache: Arc::default(),
        }
    }
}
