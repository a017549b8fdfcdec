use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use llmspell_workflows_basic::{
    Engine, EngineBuilder, Limits, StepError,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    model::{Definition, Step},
    sync::lock,
};
use serde_json::Value;

use super::{gate::Gate, home::Wraps, ladder::Edition, ledger::SharedLedger, process::MidStep};
use crate::{ConfigureEngine, clock::SimClock};

/// The function that an activity calls.
type Perform = Arc<dyn Fn(ActivityContext) -> BoxFuture<'static, Result<ActivityOutput, StepError>> + Send + Sync>;

/// The workflows of a test, with the activities and signals that they need.
#[derive(Clone)]
pub(super) struct Cast {
    pub(super) roles: Vec<Role>,
    pub(super) signals: BTreeMap<String, Value>,
    pub(super) wraps: Wraps,
    pub(super) configure: ConfigureEngine,
    activities: Vec<(String, String, Perform)>,
}

/// A workflow of a test.
#[derive(Clone)]
pub(super) struct Role {
    pub(super) definition: Arc<Definition>,
    pub(super) input: Value,
    /// The definition under which runs of this workflow may continue; it extends the original
    /// definition.
    pub(super) next: Option<Arc<Definition>>,
    /// Definitions with changes to steps of the original definition.
    pub(super) corrections: Vec<Correction>,
}

/// A corrected definition of a workflow.
#[derive(Debug, Clone)]
pub(super) struct Correction {
    pub(super) definition: Arc<Definition>,
    /// The steps that have not changed and follow no changed step. Other steps may run again.
    pub(super) unchanged: BTreeSet<String>,
    /// A changed step. If its former result is kept, a run ends as it would under the original
    /// definition.
    pub(super) kept: Option<String>,
}

impl Role {
    /// Returns the definition of this edition.
    pub(super) fn edition(&self, edition: Edition) -> &Arc<Definition> {
        match edition {
            Edition::Original => &self.definition,
            Edition::Next => self.next.as_ref().expect("the workflow has a next definition"),
            Edition::Corrected(number) => &self.corrections[number].definition,
        }
    }

    /// Returns whether the step at `path`, without generations, and all steps before it are the
    /// same in all these definitions.
    pub(super) fn is_unchanged(&self, path: &str, editions: impl IntoIterator<Item = Edition>) -> bool {
        editions.into_iter().all(|edition| match edition {
            Edition::Original | Edition::Next => true,
            Edition::Corrected(number) => self.corrections[number].unchanged.contains(path),
        })
    }
}

impl Default for Cast {
    fn default() -> Self {
        Self {
            roles: Vec::new(),
            signals: BTreeMap::new(),
            wraps: Wraps::default(),
            configure: Arc::new(|builder: EngineBuilder| builder),
            activities: Vec::new(),
        }
    }
}

impl Cast {
    pub(super) fn register<F, Fut>(&mut self, kind: &str, name: &str, perform: F)
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        let perform: Perform = Arc::new(move |context| Box::pin(perform(context)));
        self.activities.push((kind.to_owned(), name.to_owned(), perform));
    }

    /// Returns the ids of all at-most-once steps.
    pub(super) fn once(&self) -> BTreeSet<String> {
        let mut once = BTreeSet::new();
        for role in &self.roles {
            let corrected = role.corrections.iter().map(|correction| &correction.definition);
            let all = std::iter::once(&role.definition).chain(&role.next).chain(corrected);
            all.for_each(|one| collect_once(one, &mut once));
        }
        once
    }

    /// Returns the engine of a process, which enters effects in the ledger between two boundaries.
    pub(super) fn engine(
        &self,
        gate: &Gate,
        ledger: &SharedLedger,
        clock: &SimClock,
        mid_step: &MidStep,
    ) -> EngineBuilder {
        let mut activities = Activities::new();
        for (kind, name, perform) in &self.activities {
            let (perform, gate, ledger) = (perform.clone(), gate.clone(), ledger.clone());
            let mid_step = mid_step.clone();
            let noted = function(move |context: ActivityContext| {
                let (perform, gate, ledger) = (perform.clone(), gate.clone(), ledger.clone());
                let mid_step = mid_step.clone();
                async move {
                    let (run, path) = (context.run_id(), context.path().to_string());
                    gate.pass(&format!("before the effect of {path}")).await;
                    lock(&ledger).perform(run, &path);
                    let result = perform(context).await;
                    if let Ok(output) = &result {
                        lock(&ledger).note_output(run, &path, output.output.clone());
                    }
                    gate.pass(&format!("after the effect of {path}")).await;
                    mid_step.send().await;
                    result
                }
            });
            activities.register(kind.as_str(), name.as_str(), noted);
        }
        // A test crashes the same step more often than would happen in practice.
        let limits = Limits { crash_cuts_max: u32::MAX, ..Limits::default() };
        (self.configure)(Engine::builder().activities(activities).clock(clock.clone()).limits(limits))
    }
}

fn collect_once(definition: &Definition, once: &mut BTreeSet<String>) {
    let mut steps: Vec<&Step> =
        definition.body.groups().into_iter().flat_map(|group| group.steps).map(|step| &**step).collect();
    steps.extend(definition.finally.iter().chain(&definition.on_error).map(|step| &**step));
    while let Some(step) = steps.pop() {
        if step.at_most_once {
            once.insert(step.id.clone());
        }
        steps.extend(step.children());
    }
    definition.workflows.values().for_each(|inner| collect_once(inner, once));
}
