use std::{fmt::Write as _, time::Duration};

use llmspell_workflows_basic::{
    Finished, RunStatus, WorkflowState,
    engine::{StepRecord, StepStatus},
    model::ActivityName,
};
use serde_json::Value;

use crate::Story;

/// The result of a run, with assertions that show the whole run when they fail.
#[derive(Debug, Clone)]
pub struct RunResult {
    finished: Finished,
    calls: Vec<(ActivityName, Value)>,
}

impl RunResult {
    pub(super) fn new(finished: Finished, calls: Vec<(ActivityName, Value)>) -> Self {
        Self { finished, calls }
    }

    /// Returns the finished run with all its steps.
    #[must_use]
    pub fn finished(&self) -> &Finished {
        &self.finished
    }

    /// Returns the status of the run.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.finished.status
    }

    /// Returns the simulated duration of the run.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.finished.ended_at.duration_since(self.finished.started_at).try_into().unwrap_or_default()
    }

    /// Returns the inputs of the calls to the activity `name`, in order.
    #[must_use]
    pub fn calls(&self, name: &str) -> Vec<Value> {
        self.calls.iter().filter(|(called, _)| called.name == name).map(|(_, input)| input.clone()).collect()
    }

    /// Returns the final value of `key` in the state.
    #[must_use]
    pub fn state(&self, key: &str) -> Option<Value> {
        self.whole_state().key(key).cloned()
    }

    fn whole_state(&self) -> WorkflowState {
        let mut state = WorkflowState::default();
        for change in &self.finished.state_changes {
            // The run has already applied this change.
            let _ = state.apply(change.clone(), self.finished.ended_at);
        }
        state
    }

    /// Asserts that the run ended with exactly this state.
    ///
    /// ```
    /// use llmspell_workflows_testing::harness::{WorkflowTest, prelude::*};
    ///
    /// let total = json!({"total": "{{ items.length }}", "checked": true}).as_object().unwrap().clone();
    /// let count = Definition::sequence("count", [Step::set("count", total)]);
    /// let result = WorkflowTest::new(count).input(json!({"items": ["a", "b"]})).run();
    /// result.left_state(&json!({"total": 2, "checked": true}));
    /// ```
    ///
    /// # Panics
    /// Panics if the state differs; the message shows the difference.
    #[track_caller]
    pub fn left_state(&self, expected: &Value) {
        let left = self.whole_state().to_value();
        if left == *expected {
            return;
        }
        let (expected, left) = (format!("{expected:#}"), format!("{left:#}"));
        let difference = Story::of(left.lines()).difference(&expected.lines().collect::<Vec<_>>()).unwrap_or_default();
        panic!("the state of the run differs (- expected, + actual):\n{difference}{self}");
    }

    /// Asserts that the run completed with `output`.
    ///
    /// # Panics
    /// Panics if the run did not complete with `output`.
    #[track_caller]
    pub fn completed_with(&self, output: &Value) {
        let is_expected = self.finished.status == RunStatus::Completed && *self.finished.output == *output;
        assert!(is_expected, "expected the run to complete with {output}\n{self}");
    }

    /// Asserts that the run failed with the error `code`, either directly or as a cause.
    ///
    /// # Panics
    /// Panics if the run did not fail with `code`.
    #[track_caller]
    pub fn failed_with(&self, code: &str) {
        let mut error = self.finished.error.as_ref();
        while let Some(at) = error {
            if at.code == code {
                return;
            }
            error = at.cause.as_deref();
        }
        panic!("expected the run to fail with `{code}`\n{self}");
    }

    /// Asserts that exactly the leaves with these ids ran, in this order, not counting skipped
    /// leaves.
    ///
    /// # Panics
    /// Panics if other leaves ran, or if the leaves ran in a different order.
    #[track_caller]
    pub fn ran(&self, ids: &[&str]) {
        let ran = self.finished.steps.iter().filter(|step| step.is_leaf && step.status != StepStatus::Skipped);
        let ran: Vec<&str> = ran.filter_map(|step| step.path.id().map(|id| id.as_str())).collect();
        assert!(ran == ids, "expected {ids:?} to run, but {ran:?} did\n{self}");
    }

    /// Asserts that the step `id` was skipped for the reason `code`.
    ///
    /// # Panics
    /// Panics if the step was not skipped for this reason.
    #[track_caller]
    pub fn skipped(&self, id: &str, code: &str) {
        let reason = self.finished.step(id).and_then(|step| step.skip_reason.as_ref());
        assert!(
            reason.is_some_and(|reason| reason.code == code),
            "expected `{id}` to be skipped with `{code}`\n{self}"
        );
    }
}

impl std::fmt::Display for RunResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finished { status, output, error, steps, .. } = &self.finished;
        writeln!(f, "the run: {status}, {output}")?;
        if let Some(error) = error {
            writeln!(f, "  {error}")?;
        }
        f.write_str(&format_steps(steps))
    }
}

/// Formats each step with its status and result, one per line.
pub(super) fn format_steps(steps: &[StepRecord]) -> String {
    let mut text = String::new();
    for step in steps {
        let output = step.output.as_ref().map(|output| format!(" {output}")).unwrap_or_default();
        let error = step.error.as_ref().map(|error| format!(" {error}")).unwrap_or_default();
        let reason = step.skip_reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let _ = writeln!(text, "  {:<9} {}{output}{error}{reason}", step.status.as_str(), step.path);
    }
    text
}
