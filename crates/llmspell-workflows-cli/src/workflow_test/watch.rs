use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use indexmap::IndexMap;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Finished, Run, StepError, StepPath,
    engine::{
        Call, Child, Decision, DecisionPoint, Interceptor, Next, NextDecision, Outcome, Received, StepRecord,
        StepStatus, Wait,
    },
};
use uuid::Uuid;

/// Observes what all steps of a case's run and its sub-workflows wait for, and which signals they
/// receive.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    root: Option<Arc<Run>>,
    /// The paths of the `workflow` steps, by the id of the child run.
    around: HashMap<Uuid, StepPath>,
    /// The last child run of each `workflow` step.
    children: IndexMap<StepPath, Arc<Run>>,
    /// The child runs in which a step has begun.
    begun: HashSet<Uuid>,
    waits: BTreeMap<String, WaitingStep>,
    /// The awaited events, each with the path of the step that waited for it.
    awaited: Vec<(String, String)>,
    /// The paths of the steps that received signals, by signal number.
    received: HashMap<u64, String>,
}

/// A step waiting for a signal or a time.
#[derive(Clone)]
pub(super) struct WaitingStep {
    pub(super) run: Arc<Run>,
    pub(super) event: Option<String>,
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the path of a step of `run`; in a sub-workflow, the path begins with the path of the
    /// `workflow` step.
    pub(super) fn path(&self, run: Uuid, path: &StepPath) -> StepPath {
        match self.state().around.get(&run) {
            Some(around) => joined(around, path),
            None => path.clone(),
        }
    }

    pub(super) fn path_of(&self, call: &Call) -> StepPath {
        self.path(call.run().id(), &call.path().to_path())
    }

    /// Records the run of the case.
    pub(super) fn root_begins(&self, run: &Arc<Run>) {
        self.state().root = Some(run.clone());
    }

    /// Records that the step at `path` runs `child`.
    pub(super) fn child_begins(&self, path: StepPath, child: &Child) {
        self.state().around.insert(child.id, path);
    }

    /// Records that a step of `run` begins.
    fn run_begins(&self, run: &Arc<Run>) {
        let mut state = self.state();
        let Some(around) = state.around.get(&run.id()).cloned() else { return };
        if state.begun.insert(run.id()) {
            // If the step is retried, the new run replaces the run of the previous attempt.
            state.children.insert(around, run.clone());
        }
    }

    /// Returns the currently waiting steps, by path.
    pub(super) fn waits(&self) -> BTreeMap<String, WaitingStep> {
        self.state().waits.clone()
    }

    /// Returns the awaited events, each with the path of the step that waited for it.
    pub(super) fn awaited(&self) -> Vec<(String, String)> {
        self.state().awaited.clone()
    }

    /// Returns the path of the step that received signal `number`.
    pub(super) fn receiver(&self, number: u64) -> Option<String> {
        self.state().received.get(&number).cloned()
    }

    /// Returns the records of all steps in start order. The steps of sub-workflows have full paths.
    pub(super) fn steps(&self, root: &[StepRecord]) -> Vec<StepRecord> {
        let mut steps = root.to_vec();
        for (around, run) in &self.state().children {
            // The outcome is irrelevant to the records.
            let finished = Finished::new(run, Outcome::Parked(Wait::default()));
            let inside = |record: &StepRecord| StepRecord { path: joined(around, &record.path), ..record.clone() };
            steps.extend(finished.steps.iter().map(inside));
        }
        steps.sort_by_key(|record| record.started_at);
        steps
    }

    /// Returns the paths of the running leaves.
    pub(super) fn running(&self) -> Vec<String> {
        let root = self.state().root.clone();
        let steps = root.map(|run| self.steps(&run.steps())).unwrap_or_default();
        let running = steps.iter().filter(|record| record.is_leaf && record.status == StepStatus::Running);
        running.map(|record| record.path.to_string()).collect()
    }

    /// Clears the state, to break the reference cycle between the runs and their engine, which has
    /// this interceptor.
    pub(super) fn clear(&self) {
        *self.state() = State::default();
    }
}

fn joined(around: &StepPath, path: &StepPath) -> StepPath {
    StepPath::new(around.segments().iter().chain(path.segments()).cloned().collect())
}

#[async_trait]
impl Interceptor for Watch {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        self.run_begins(call.run());
        let path = self.path_of(&call).to_string();
        let outcome = next.run(call).await;
        if !matches!(outcome, Outcome::Parked(_)) {
            self.state().waits.remove(&path);
        }
        outcome
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = next.run(point, decision).await?;
        let path = || self.path_of(point.call).to_string();
        match &decision {
            Decision::Awaits(_, awaited) => {
                let path = path();
                let mut state = self.state();
                state.awaited.extend(awaited.signal.iter().map(|event| (event.clone(), path.clone())));
                let run = point.call.run().clone();
                let (event, since, until) = (awaited.signal.clone(), awaited.since, awaited.until);
                state.waits.insert(path, WaitingStep { run, event, since, until });
            }
            Decision::Received(attempt, Received::Signal(signal)) => {
                let path = path();
                let mut state = self.state();
                // A signal may have been delivered to several runs, but only one step receives it.
                if state.received.contains_key(&signal.number) {
                    return Ok(Decision::Received(*attempt, Received::Refused));
                }
                state.received.insert(signal.number, path);
            }
            _ => {}
        }
        Ok(decision)
    }
}
