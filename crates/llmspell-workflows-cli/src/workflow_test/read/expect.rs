use llmspell_workflows_basic::{Problem, ProblemLocation, engine::StepStatus};
use serde_json::Value;

use super::{Fields, Reader, join};
use crate::workflow_test::{Expect, MockEntry, Pattern};

/// The statuses in which a test's run can end.
const STATUSES: [&str; 6] = ["completed", "failed", "waiting", "cancelled", "compensated", "stuck"];

/// The possible statuses of a step after the end of a test's run.
const STEP_STATUSES: [StepStatus; 8] = [
    StepStatus::Completed,
    StepStatus::Failed,
    StepStatus::Skipped,
    StepStatus::Waiting,
    StepStatus::Cancelled,
    StepStatus::Compensated,
    StepStatus::Stuck,
    StepStatus::Pending,
];

impl Reader {
    /// Reports a status that is not one of `known`; `noun` names the subject of the status.
    fn check_status(&mut self, status: Option<&str>, at: &str, noun: &str, known: &[&str]) {
        let Some(status) = status.filter(|status| !known.contains(status)) else { return };
        let place = ProblemLocation::new("", join(at, "status"));
        let message = format!("{noun} cannot end with the status `{status}`");
        self.problems.push(Problem::error("bad_value", place, message).with_known(status, known.iter().copied()));
    }

    pub(super) fn expect(&mut self, value: &Value, at: &str, mocks: &[MockEntry]) -> Option<Expect> {
        let names = ["status", "output", "error", "steps", "order", "calls"];
        let fields = self.fields(value, at, "`expect`", &names)?;
        let status = self.text(fields, at, "status");
        self.check_status(status.as_deref(), at, "a test run", &STATUSES);
        if let Some(error) = fields.get("error") {
            self.fields(
                error,
                &join(at, "error"),
                "an error",
                &["class", "code", "message", "path", "attempt", "retryable", "cause", "details"],
            );
        }
        let steps = self.entries(fields, at, "steps").into_iter();
        let steps: Vec<_> = steps.map(|(key, value)| (Pattern::new(key), value.clone())).collect();
        let names = ["status", "output", "error", "skip_reason", "attempts", "waits_for"];
        for (pattern, value) in &steps {
            let at = format!("{at}/steps/{pattern}");
            if let Some(fields) = self.fields(value, &at, "an expected step", &names) {
                let status = self.text(fields, &at, "status");
                self.text(fields, &at, "waits_for");
                self.check_status(status.as_deref(), &at, "a step", &STEP_STATUSES.map(StepStatus::as_str));
            }
        }
        let mut order = Vec::new();
        for (number, item) in self.items(fields, at, "order").iter().enumerate() {
            match item.as_str() {
                Some(id) => order.push(Pattern::new(id)),
                None => self.error_at(
                    "wrong_type",
                    &format!("{at}/order/{number}"),
                    "expected a step's id or path as a string",
                ),
            }
        }
        let calls = self.calls(fields, at, mocks);
        Some(Expect {
            status,
            output: fields.get("output").cloned(),
            error: fields.get("error").cloned(),
            steps,
            order,
            calls,
        })
    }

    /// Reads how many calls of each mock are expected, by key.
    fn calls(&mut self, fields: &Fields, at: &str, mocks: &[MockEntry]) -> Vec<(String, u64)> {
        let mut calls = Vec::new();
        for (key, value) in self.entries(fields, at, "calls") {
            let at = format!("{at}/calls/{key}");
            if !mocks.iter().any(|mock| mock.key == *key) {
                let message = format!("`{key}` is not a key of `mocks`; only calls to mocks are counted");
                let problem = Problem::error("unknown_mock", ProblemLocation::new("", &*at), message);
                self.problems.push(problem.with_known(key, mocks.iter().map(|mock| mock.key.as_str())));
            }
            match value.as_u64() {
                Some(count) => calls.push((key.clone(), count)),
                None => self.error_at("wrong_type", &at, "expected a number of calls"),
            }
        }
        calls
    }
}
