use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use llmspell_workflows_basic::{StepError, engine::Call, model::Step, targets};
use serde_json::Value;

use super::{Combine, FireResult, Watchdog, fire};
use crate::{
    Correlations, EventBus, HookContext, HookPoint, HookReport, HostPoint, Point, Registration, Verdict,
    breaker::Breaker,
    cache::Cache,
    context::{Details, Subject},
    registration::{Entry, Member},
    selector::can_reach,
};

/// The hooks at a point, in calling order.
pub(crate) type Members = Arc<[Member]>;

/// Holds all hooks of a host and calls them.
///
/// See the [crate's documentation](crate) for an example.
pub struct HookDispatcher {
    points: HashMap<HookPoint, Chain>,
    /// The keys of `points` as a bit set, which is fast to check at every step.
    numbers: u128,
    metadata: Arc<BTreeMap<String, Value>>,
    correlations: Correlations,
    events: Option<EventBus>,
    watchdog: Arc<Watchdog>,
    pub(crate) cache: Arc<Cache>,
}

/// The hooks at a point.
struct Chain {
    combine: Combine,
    members: Members,
    /// Whether all members select every step.
    is_for_all: bool,
}

/// Builds a [`HookDispatcher`].
#[derive(Default)]
pub struct HookDispatcherBuilder {
    registrations: Vec<Registration>,
    combine: HashMap<HookPoint, Combine>,
    metadata: BTreeMap<String, Value>,
    correlations: Correlations,
    events: Option<EventBus>,
}

impl HookDispatcher {
    /// Returns a builder without hooks.
    #[must_use]
    pub fn builder() -> HookDispatcherBuilder {
        HookDispatcherBuilder::default()
    }

    /// Calls the hooks at a point that the engine does not fire itself.
    ///
    /// # Errors
    /// Fails if a required hook does not answer.
    pub async fn fire<P: Point>(&self, point: P, host: HostPoint) -> Result<Verdict, StepError> {
        let _ = point;
        let Some(chain) = self.points.get(&P::POINT) else { return Ok(Verdict::default()) };
        let path = host.path.clone();
        let context = self.context(P::POINT, Subject::Host(host), Details::default());
        let result = fire(&self.watchdog, chain.combine, chain.members.clone(), context).await;
        for report in &result.reports {
            tracing::warn!(target: targets::HOOK, code = report.failure.code(), path = %path, "{report}");
        }
        match result.required_failure() {
            Some(report) => Err(report.to_error()),
            None => Ok(result.verdict),
        }
    }

    /// Calls `members` for the step of `call` and reports their failures.
    pub(crate) async fn fire_at(
        &self,
        point: HookPoint,
        members: Members,
        call: &Call,
        details: Details,
    ) -> FireResult {
        let combine = self.points.get(&point).map_or(Combine::Sequence, |chain| chain.combine);
        let context = self.context(point, Subject::Step(call.clone()), details);
        let result = fire(&self.watchdog, combine, members, context).await;
        result.reports.iter().for_each(|report| self.report(call, report));
        result
    }

    pub(crate) fn report(&self, call: &Call, report: &HookReport) {
        call.run().warn(report.failure.code(), call.path(), report.to_string());
        if let Some(events) = &self.events {
            events.publish_hook_failure(call, report);
        }
    }

    /// Returns the hooks at `point` that select the step of `call`.
    pub(crate) fn members(&self, point: HookPoint, call: &Call) -> Option<Members> {
        let chain = self.points.get(&point)?;
        if chain.is_for_all {
            return Some(chain.members.clone());
        }
        let concerned: Vec<_> =
            chain.members.iter().filter(|member| member.entry.selector.concerns(call)).cloned().collect();
        (!concerned.is_empty()).then(|| concerned.into())
    }

    /// Returns whether any hook is registered at `point`.
    #[must_use]
    pub fn has_hooks_at(&self, point: HookPoint) -> bool {
        self.points.contains_key(&point)
    }

    /// Returns whether any hook is registered at `point`, which must be one of the engine's own points.
    pub(crate) fn has_engine_hooks_at(&self, point: HookPoint) -> bool {
        point.number().is_some_and(|number| self.numbers & (1 << number) != 0)
    }

    /// Returns whether any hook may be called for `step`.
    pub(crate) fn concerns(&self, step: &Step) -> bool {
        self.points.iter().any(|(point, chain)| {
            can_reach(*point, step)
                && chain.members.iter().any(|member| member.entry.selector.may_concern(*point, step))
        })
    }

    fn context(&self, point: HookPoint, subject: Subject, details: Details) -> HookContext {
        HookContext::new(point, subject, details, self.metadata.clone(), self.correlations.clone())
    }
}

impl HookDispatcher {
    /// Returns a dispatcher with additional hooks; it shares its breakers and its cache with this dispatcher.
    #[must_use]
    pub fn with(&self, registrations: impl IntoIterator<Item = Registration>) -> Self {
        let combine = self.points.iter().map(|(point, chain)| (*point, chain.combine)).collect();
        let mut members: HashMap<_, Vec<_>> =
            self.points.iter().map(|(point, chain)| (*point, chain.members.to_vec())).collect();
        registrations.into_iter().for_each(|registration| registration.register_in(&mut members));
        members.values_mut().for_each(|members| members.sort_by_key(|member| member.entry.priority));
        let (points, numbers) = chains(members, &combine);
        Self {
            points,
            numbers,
            metadata: self.metadata.clone(),
            correlations: self.correlations.clone(),
            events: self.events.clone(),
            watchdog: self.watchdog.clone(),
            cache: self.cache.clone(),
        }
    }
}

impl Registration {
    /// Adds the hooks to `members`, by point.
    fn register_in(self, members: &mut HashMap<HookPoint, Vec<Member>>) {
        let Self { name, selector, required, timeout, breaker, hooks, priority } = self;
        let entry = Arc::new(Entry { name, priority, selector, required, timeout, breaker: Breaker::new(breaker) });
        for (point, hook) in hooks {
            members.entry(point).or_default().push(Member { entry: entry.clone(), hook });
        }
    }
}

/// Builds the chain of each point, and the bit set of the points that have hooks.
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
    /// Adds the hooks of a registration.
    #[must_use]
    pub fn register(mut self, registration: Registration) -> Self {
        self.registrations.push(registration);
        self
    }

    /// Sets how the answers at a point are combined; the default is [`Combine::Sequence`].
    #[must_use]
    pub fn combine<P: Point>(mut self, point: P, combine: Combine) -> Self {
        let _ = point;
        self.combine.insert(P::POINT, combine);
        self
    }

    /// Adds metadata that hooks can read under `key` at every point.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets the correlation ids of runs.
    #[must_use]
    pub fn correlations(mut self, correlations: Correlations) -> Self {
        self.correlations = correlations;
        self
    }

    /// Sets the bus to which hook failures are published; they are also reported as warnings of the run.
    #[must_use]
    pub fn events(mut self, events: EventBus) -> Self {
        self.events = Some(events);
        self
    }

    /// Builds the dispatcher.
    #[must_use]
    pub fn build(mut self) -> HookDispatcher {
        self.registrations.sort_by_key(|registration| registration.priority);
        let mut members = HashMap::new();
        self.registrations.into_iter().for_each(|registration| registration.register_in(&mut members));
        let (points, numbers) = chains(members, &self.combine);
        HookDispatcher {
            points,
            numbers,
            metadata: Arc::new(self.metadata),
            correlations: self.correlations,
            events: self.events,
            watchdog: Arc::default(),
            cache: Arc::default(),
        }
    }
}
