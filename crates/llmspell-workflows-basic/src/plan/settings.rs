//! Checks the settings that every step has.

use super::Builder;
use crate::{
    Problem, ProblemLocation,
    model::{Delay, Retry, Step},
};

impl Builder<'_> {
    pub(super) fn settings(&mut self, step: &Step, path: &str) {
        if !step.kind.is_leaf() && !step.limits.is_empty() {
            let message = "only leaves can have named limits: a block would wait forever if its own steps needed the permit it holds";
            self.error("limit_on_block", ProblemLocation::new(path, "limits/0"), message);
        }
        for (position, limit) in step.limits.iter().enumerate() {
            if !self.definition.concurrency.contains_key(limit) && self.engine.permits().declared(limit).is_none() {
                let place = ProblemLocation::new(path, format!("limits/{position}"));
                let problem = Problem::error("unknown_limit", place, format!("unknown concurrency limit `{limit}`"));
                let definition = self.definition.clone();
                self.problems.push(problem.with_known(limit, definition.concurrency.keys().map(String::as_str)));
            }
        }
        if let Some(retry) = &step.retry {
            self.retry(retry, path);
        }
        if step.at_most_once {
            self.at_most_once(step, path);
        }
        for (field, delay) in [("timeout", &step.timeout), ("total_timeout", &step.total_timeout)] {
            if matches!(delay, Some(Delay::Fixed(duration)) if duration.is_zero()) {
                self.error(
                    "invalid_number",
                    ProblemLocation::new(path, field),
                    format!("`{field}` must be greater than 0"),
                );
            }
        }
    }

    fn retry(&mut self, retry: &Retry, path: &str) {
        let mut wrong = |field: &str, message: &str| {
            self.problems.push(Problem::error(
                "invalid_number",
                ProblemLocation::new(path, format!("retry/{field}")),
                message,
            ));
        };
        if let Some(at) = retry.on_exit_codes.iter().position(|exit| *exit == 0) {
            wrong(&format!("on_exit_codes/{at}"), "a process that ends with exit code 0 has not failed");
        }
        if retry.attempts_max == 0 {
            wrong("attempts_max", "`attempts_max` must be at least 1");
        }
        if !retry.multiplier.is_finite() || retry.multiplier < 1.0 {
            wrong("multiplier", "`multiplier` must be at least 1");
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            wrong("jitter", "`jitter` must be between 0 and 1");
        }
    }
}
