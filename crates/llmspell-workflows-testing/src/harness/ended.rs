use std::{fmt::Write as _, time::Duration};

use llmspell_workflows_basic::{
    Finished, RunStatus, WorkflowState,
    engine::{StepRecord, StepStatus},
    model::ActivityName,
};
use serde_json::Value;

use crate::Story;

/// A run that has ended. What it is asserted to be and is not shows the whole of it.
#[derive(Debug, Clone)]
pub struct Ended {
    finished: Finished,
    calls: Vec<(ActivityName, Value)>,
}

impl Ended {
    pub(super) fn new(finished: Finished, calls: Vec<(ActivityName, Value)>) -> Self {
        Self { finished, calls }
    }

    /// The run itself, with all its steps.
    #[must_use]
    pub fn finished(&self) -> &Finished {
        &self.finished
    }

    /// How it ended.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.finished.status
    }

    /// How much time passed in it.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.finished.ended_at.duration_since(self.finished.started_at).try_into().unwrap_or_default()
    }

    /// The inputs with which the activity `name` was called, in order.
    #[must_use]
    pub fn calls(&self, name: &str) -> Vec<Value> {
        self.calls.iter().filter(|(called, _)| called.name == name).map(|(_, input)| input.clone()).collect()
    }

    /// The state that it left under `key`.
    #[must_use]
    pub fn state(&self, key: &str) -> Option<Value> {
        self.whole_state().key(key).cloned()
    }

    fn whole_state(&self) -> WorkflowState {
        let mut state = WorkflowState::default();
        for change in &self.finished.state_changes {
            // The run has applied it before.
            let _ = state.apply(change.clone(), self.finished.ended_at);
        }
        state
    }

    /// It left this state, and nothing more in it.
    ///
    /// ```
    /// use llmspell_workflows_testing::harness::{WorkflowTest, prelude::*};
    ///
    /// let total = json!({"total": "{{ items.length }}", "checked": true}).as_object().unwrap().clone();
    /// let count = Definition::sequence("count", [Step::set("count", total)]);
    /// let ended = WorkflowTest::new(count).input(json!({"items": ["a", "b"]})).run();
    /// ended.left(&json!({"total": 2, "checked": true}));
    /// ```
    ///
    /// # Panics
    /// It did not; the message shows the difference.
    #[track_caller]
    pub fn left(&self, state: &Value) {
        let left = self.whole_state().to_value();
        if left == *state {
            return;
        }
        let (expected, left) = (format!("{state:#}"), format!("{left:#}"));
        let difference = Story::of(left.lines()).difference(&expected.lines().collect::<Vec<_>>()).unwrap_or_default();
        panic!("the run should have left another state (- is missing, + is too much):\n{difference}{self}");
    }

    /// It completed, and gave `output`.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn completed_with(&self, output: &Value) {
        let is_so = self.finished.status == RunStatus::Completed && *self.finished.output == *output;
        assert!(is_so, "the run should have completed with {output}\n{self}");
    }

    /// It failed with the error `code`, itself or below.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn failed_with(&self, code: &str) {
        let mut error = self.finished.error.as_ref();
        while let Some(at) = error {
            if at.code == code {
                return;
            }
            error = at.cause.as_deref();
        }
        panic!("the run should have failed with `{code}`\n{self}");
    }

    /// These leaves ran, by their ids, in this order; skipped ones do not count.
    ///
    /// # Panics
    /// Others did, or in another order.
    #[track_caller]
    pub fn ran(&self, ids: &[&str]) {
        let ran = self.finished.steps.iter().filter(|step| step.is_leaf && step.status != StepStatus::Skipped);
        let ran: Vec<&str> = ran.filter_map(|step| step.path.id().map(|id| id.as_str())).collect();
        assert!(ran == ids, "these should have run: {ids:?}, and did: {ran:?}\n{self}");
    }

    /// The step `id` was skipped for the reason `code`.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn skipped(&self, id: &str, code: &str) {
        let reason = self.finished.step(id).and_then(|step| step.skip_reason.as_ref());
        assert!(reason.is_some_and(|reason| reason.code == code), "`{id}` should have been skipped: {code}\n{self}");
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finished { status, output, error, steps, .. } = &self.finished;
        writeln!(f, "the run: {status}, {output}")?;
        if let Some(error) = error {
            writeln!(f, "  {error}")?;
        }
        f.write_str(&story(steps))
    }
}

/// Each step and how it went, a line each.
pub(super) fn story(steps: &[StepRecord]) -> String {
    let mut text = String::new();
    for step in steps {
        let output = step.output.as_ref().map(|output| format!(" {output}")).unwrap_or_default();
        let error = step.error.as_ref().map(|error| format!(" {error}")).unwrap_or_default();
        let why = step.skip_reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let _ = writeln!(text, "  {:<9} {}{output}{error}{why}", step.status.as_str(), step.path);
    }
    text
}
