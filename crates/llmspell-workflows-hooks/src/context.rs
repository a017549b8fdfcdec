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

/// What a hook is told about the point at which it is called; cheap to clone.
///
/// Hooks that are called later at the same point see what earlier ones have modified.
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
    about: About,
    metadata: Arc<BTreeMap<String, Value>>,
    correlations: Correlations,
}

/// What it is about.
pub(crate) enum Subject {
    /// A step of a run.
    Step(Call),
    /// What a host says that it is.
    Host(HostPoint),
}

/// What a host tells the hooks at a point that it fires itself.
#[derive(Debug, Clone, Default)]
pub struct HostPoint {
    /// The run, if it is about one.
    pub run_id: Option<Uuid>,
    /// The step's path, if it is about one.
    pub path: String,
    /// Facts, given to hooks as the input.
    pub data: Value,
}

/// What is known at a point beside the step.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) output: Option<Arc<Value>>,
    pub(crate) error: Option<Box<StepError>>,
    pub(crate) choice: Option<Decision>,
    pub(crate) changes: Vec<Change>,
}

impl HookContext {
    pub(crate) fn new(
        point: HookPoint,
        subject: Subject,
        mut about: About,
        metadata: Arc<BTreeMap<String, Value>>,
        correlations: Correlations,
    ) -> Self {
        let (output, changes) = (about.output.take(), std::mem::take(&mut about.changes));
        let shared = Arc::new(Shared { point, subject, about, metadata, correlations });
        Self { shared, input: None, output, changes }
    }

    /// As the next hook sees it.
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

    /// The point.
    #[must_use]
    pub fn point(&self) -> HookPoint {
        self.shared.point
    }

    /// The run itself; none at points of a host.
    #[must_use]
    pub fn run(&self) -> Option<&Arc<Run>> {
        self.call().map(Call::run)
    }

    /// The run it is about.
    #[must_use]
    pub fn run_id(&self) -> Option<Uuid> {
        self.call().map(|call| call.run().id()).or_else(|| self.host()?.run_id)
    }

    /// The name of the workflow; empty at points of a host.
    #[must_use]
    pub fn workflow(&self) -> &str {
        self.call().map_or("", |call| &call.run().definition().name)
    }

    /// What ties runs together; the run's id unless [`Correlations`] say otherwise.
    #[must_use]
    pub fn correlation_id(&self) -> Option<Arc<str>> {
        self.run_id().map(|run_id| self.shared.correlations.of(run_id))
    }

    /// The step; none at points of a host.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.call().map(Call::step)
    }

    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> String {
        self.call().map_or_else(
            || self.host().map(|host| host.path.clone()).unwrap_or_default(),
            |call| PathLink::to_string(call.path()),
        )
    }

    /// Which entry into the step it is, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.call().map_or(1, Call::generation)
    }

    /// Which attempt it is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call().map_or(1, Call::attempt)
    }

    /// The input of the activity, with secrets masked, or the facts of a host; `None` for a step that calls none.
    ///
    /// # Errors
    /// A reference in the step's parameters cannot be resolved.
    pub fn input(&self) -> Result<Option<Arc<Value>>, HookError> {
        if self.input.is_some() {
            return Ok(self.input.clone());
        }
        match &self.shared.subject {
            Subject::Step(call) => Ok(call.shown_input()?),
            Subject::Host(host) => Ok(Some(Arc::new(host.data.clone()))),
        }
    }

    /// What the step gave; only after it has completed.
    #[must_use]
    pub fn output(&self) -> Option<&Value> {
        self.output.as_deref()
    }

    /// Why the step or the attempt failed; only after that.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        self.shared.about.error.as_deref()
    }

    /// What was chosen; only at choices.
    #[must_use]
    pub fn choice(&self) -> Option<&Decision> {
        self.shared.about.choice.as_ref()
    }

    /// The changes of the state that are about to be made, those of earlier hooks among them.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The state as the step sees it, with the changes that are about to be made.
    #[must_use]
    pub fn state(&self) -> WorkflowState {
        let mut state = self.call().map(|call| call.state().clone()).unwrap_or_default();
        for change in &self.changes {
            // What cannot be applied is found, and reported, where it is made.
            let _ = state.apply(change.clone(), self.now());
        }
        state
    }

    /// The time as the run sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.call().map_or_else(Timestamp::now, |call| call.run().now())
    }

    /// What the host has said of all its runs under `key`.
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
