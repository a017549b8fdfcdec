use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    PathLink, Run, StepError, WorkflowState,
    engine::{Call, Decision},
    model::Step,
    state::Change,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{Correlations, HookError, HookPoint, Verdict};

/// The data passed to a hook; cheap to clone.
///
/// Later hooks at the same point see the modifications of earlier hooks.
#[derive(Clone)]
pub struct HookContext {
    shared: Arc<Shared>,
    input: Option<Arc<Value>>,
    output: Option<Arc<Value>>,
    changes: Vec<Change>,
}

struct Shared {
    point: HookPoint,
    subject: Subject,
    details: Details,
    metadata: Arc<BTreeMap<String, Value>>,
    correlations: Correlations,
}

/// The subject of a hook call.
pub(crate) enum Subject {
    /// A step of a run.
    Step(Call),
    /// Data from the host.
    Host(HostPoint),
}

/// The data that a host passes to hooks at a point fired by the host.
#[derive(Debug, Clone, Default)]
pub struct HostPoint {
    /// The run that the point concerns, if any.
    pub run_id: Option<Uuid>,
    /// The path of the step that the point concerns; empty if there is none.
    pub path: String,
    /// The data that hooks receive as the input.
    pub data: Value,
}

/// The data that hooks at a point receive in addition to the step.
#[derive(Default)]
pub(crate) struct Details {
    pub(crate) output: Option<Arc<Value>>,
    pub(crate) error: Option<Box<StepError>>,
    pub(crate) choice: Option<Decision>,
    pub(crate) changes: Vec<Change>,
}

impl HookContext {
    pub(crate) fn new(
        point: HookPoint,
        subject: Subject,
        mut details: Details,
        metadata: Arc<BTreeMap<String, Value>>,
        correlations: Correlations,
    ) -> Self {
        let (output, changes) = (details.output.take(), std::mem::take(&mut details.changes));
        let shared = Arc::new(Shared { point, subject, details, metadata, correlations });
        Self { shared, input: None, output, changes }
    }

    /// Returns the context for the next hook, with the modifications of `verdict`.
    pub(crate) fn after(mut self, verdict: &Verdict) -> Self {
        self.input = verdict.input.clone().or(self.input);
        self.output = verdict.output.clone().or(self.output);
        self.changes.extend(verdict.state.iter().cloned());
        self
    }

    pub(crate) fn call(&self) -> Option<&Call> {
        match &self.shared.subject {
            Subject::Step(call) => Some(call),
            Subject::Host(_) => None,
        }
    }

    fn host(&self) -> Option<&HostPoint> {
        match &self.shared.subject {
            Subject::Step(_) => None,
            Subject::Host(host) => Some(host),
        }
    }

    /// Returns the point.
    #[must_use]
    pub fn point(&self) -> HookPoint {
        self.shared.point
    }

    /// Returns the run; `None` at points that a host fires.
    #[must_use]
    pub fn run(&self) -> Option<&Arc<Run>> {
        self.call().map(Call::run)
    }

    /// Returns the id of the run that the point concerns.
    #[must_use]
    pub fn run_id(&self) -> Option<Uuid> {
        self.call().map(|call| call.run().id()).or_else(|| self.host()?.run_id)
    }

    /// Returns the name of the workflow; empty at points that a host fires.
    #[must_use]
    pub fn workflow(&self) -> &str {
        self.call().map_or("", |call| &call.run().definition().name)
    }

    /// Returns the correlation id of the run, which is the run id unless [`Correlations`] contains a different one.
    #[must_use]
    pub fn correlation_id(&self) -> Option<Arc<str>> {
        self.run_id().map(|run_id| self.shared.correlations.of(run_id))
    }

    /// Returns the step; `None` at points that a host fires.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.call().map(Call::step)
    }

    /// Returns the path of the step.
    #[must_use]
    pub fn path(&self) -> String {
        self.call().map_or_else(
            || self.host().map(|host| host.path.clone()).unwrap_or_default(),
            |call| PathLink::to_string(call.path()),
        )
    }

    /// Returns the generation of the step, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.call().map_or(1, Call::generation)
    }

    /// Returns the attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call().map_or(1, Call::attempt)
    }

    /// Returns the input of the activity, with secrets masked, or the data that a host passed.
    ///
    /// A step that does not call an activity has no input.
    ///
    /// # Errors
    /// Fails if a reference in the step's parameters cannot be resolved.
    pub fn input(&self) -> Result<Option<Arc<Value>>, HookError> {
        if self.input.is_some() {
            return Ok(self.input.clone());
        }
        match &self.shared.subject {
            Subject::Step(call) => Ok(call.shown_input()?),
            Subject::Host(host) => Ok(Some(Arc::new(host.data.clone()))),
        }
    }

    /// Returns the output of the step, once it has completed.
    #[must_use]
    pub fn output(&self) -> Option<&Value> {
        self.output.as_deref()
    }

    /// Returns the error of the step or the attempt, once it has failed.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        self.shared.details.error.as_deref()
    }

    /// Returns the decision that was made; `None` at points that do not concern a decision.
    #[must_use]
    pub fn choice(&self) -> Option<&Decision> {
        self.shared.details.choice.as_ref()
    }

    /// Returns the pending state changes, including those of earlier hooks.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the state as the step sees it, with secrets masked and the pending changes applied.
    #[must_use]
    pub fn state(&self) -> WorkflowState {
        let mut state = self.call().map(Call::shown_state).unwrap_or_default();
        for change in &self.changes {
            // A change that cannot be applied is reported when the step makes it.
            let _ = state.apply(change.clone(), self.now());
        }
        state
    }

    /// Returns the current time of the run.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.call().map_or_else(Timestamp::now, |call| call.run().now())
    }

    /// Returns the metadata that the host set under `key` for all its runs.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.shared.metadata.get(key)
    }
}

impl fmt::Debug for HookContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.point(), self.path())
    }
}
