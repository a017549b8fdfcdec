use std::time::Duration;

use serde_json::{Map, Value, json};

use super::parallel_plan::ParallelPlan;
use crate::{
    ErrorClass, StepError,
    engine::{Call, CancelReason, Outcome},
    model::{Aggregation, ErrorMode, ParallelOutput},
};

/// The result of a branch of a parallel block, for an aggregation function.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchResult {
    /// The id of the branch.
    pub branch_id: String,
    /// Whether the branch succeeded; a skipped branch neither succeeded nor failed.
    pub success: bool,
    /// The output of the branch.
    pub result: Option<Value>,
    /// Why the branch failed or was cancelled.
    pub error: Option<StepError>,
    /// How long the branch took.
    pub duration: Duration,
}

/// The outcomes of the branches of a block so far, and the resulting verdict.
///
/// | error mode | aggregation | the other branches are cancelled if | the block succeeds if |
/// |---|---|---|---|
/// | any | `first` | one branch and all required branches have succeeded | the same is true |
/// | `fail_fast` | any | a required one failed, or success is impossible | enough and all required ones succeeded |
/// | `fail_slow` | any | never | enough and all required ones succeeded |
/// | `best_effort` | `all` | never | all required ones succeeded and, if any branch failed, at least one succeeded |
/// | `best_effort` | other | never | enough and all required ones succeeded |
///
/// "Enough" means all branches that were not skipped (`all`), 1 (`first`), n (`partial:n`), more
/// than half (`majority`), or none (a function, which decides for itself). A failure handled by the
/// branch's own `on_error` counts as a success. If a branch ends after the other branches have been
/// cancelled, its outcome is ignored.
pub(super) struct Judge<'a> {
    plan: &'a ParallelPlan,
    /// The outcome of each branch; `None` if the branch had not ended before the verdict.
    ends: Vec<Option<Outcome>>,
    winner: Option<usize>,
}

/// The block's next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The block waits for the other branches.
    Wait,
    /// The block has succeeded, and the other branches are stopped.
    Won,
    /// The block has failed, and the other branches are stopped.
    Lost,
}

impl<'a> Judge<'a> {
    pub(super) fn new(plan: &'a ParallelPlan) -> Self {
        Self { plan, ends: vec![None; plan.branches.len()], winner: None }
    }

    /// Adds the outcome of branch `number`.
    pub(super) fn end(&mut self, number: usize, outcome: Outcome) {
        if succeeded(&outcome) {
            self.winner.get_or_insert(number);
        }
        self.ends[number] = Some(outcome);
    }

    /// Returns whether branch `number` ended before the verdict.
    pub(super) fn has_ended(&self, number: usize) -> bool {
        self.ends[number].is_some()
    }

    pub(super) fn ends(&self) -> &[Option<Outcome>] {
        &self.ends
    }

    pub(super) fn verdict(&self) -> Verdict {
        let first = self.plan.settings.aggregation == Aggregation::First;
        if first && self.winner.is_some() && self.required_succeeded() {
            return Verdict::Won;
        }
        let fail_fast = self.plan.settings.error_mode == ErrorMode::FailFast;
        if fail_fast && (self.required_failed().is_some() || !self.within_reach()) {
            return Verdict::Lost;
        }
        Verdict::Wait
    }

    fn required_succeeded(&self) -> bool {
        self.plan
            .required
            .iter()
            .zip(&self.ends)
            .all(|(required, end)| !required || end.as_ref().is_some_and(succeeded_or_skipped))
    }

    fn required_failed(&self) -> Option<usize> {
        (0..self.ends.len())
            .find(|number| self.plan.required[*number] && self.ends[*number].as_ref().is_some_and(failed))
    }

    fn count(&self, test: impl Fn(&Outcome) -> bool) -> usize {
        self.ends.iter().flatten().filter(|end| test(end)).count()
    }

    fn enough(&self) -> usize {
        let count = self.ends.len();
        match self.plan.settings.aggregation {
            Aggregation::All => count - self.count(|end| matches!(end, Outcome::Skipped(_))),
            Aggregation::First => 1,
            Aggregation::AtLeast(n) => n as usize,
            Aggregation::Majority => count / 2 + 1,
            Aggregation::Custom(_) => 0,
        }
    }

    fn within_reach(&self) -> bool {
        let open = self.ends.iter().filter(|end| end.is_none()).count();
        self.count(succeeded) + open >= self.enough()
    }

    /// Returns the output of the block, once all branches have ended or have been stopped.
    pub(super) fn conclude(&self, call: &Call, durations: &[Duration]) -> Result<Value, StepError> {
        if let Some(number) = self.required_failed() {
            let id = &self.plan.branches[number].id;
            return Err(self.failure("required_branch_failed", format!("the required branch `{id}` failed")));
        }
        let (successes, failures) = (self.count(succeeded), self.count(failed));
        let best_effort = self.plan.settings.error_mode == ErrorMode::BestEffort;
        let waived =
            best_effort && self.plan.settings.aggregation == Aggregation::All && (successes > 0 || failures == 0);
        if successes < self.enough() && !waived {
            return Err(self.not_enough(successes, failures));
        }
        match &self.plan.settings.aggregation {
            Aggregation::Custom(name) => self.custom(call, name, durations),
            _ if self.plan.settings.output == ParallelOutput::ByBranch => Ok(self.by_branch()),
            Aggregation::First => Ok(self.winner.map(|winner| self.value(winner)).unwrap_or_default()),
            // Each branch keeps its position in the list, regardless of its outcome.
            Aggregation::All | Aggregation::AtLeast(_) | Aggregation::Majority => {
                Ok((0..self.ends.len()).map(|number| self.value(number)).collect())
            }
        }
    }

    fn not_enough(&self, successes: usize, failures: usize) -> StepError {
        let count = self.ends.len();
        let aggregation = &self.plan.settings.aggregation;
        let message = format!(
            "{successes} of {count} branches succeeded and {failures} failed; `{aggregation}` needs {}",
            self.enough()
        );
        self.failure("branches_failed", message)
    }

    /// Creates the block's error: the cause is the first failure in definition order, and the details contain all
    /// failures.
    fn failure(&self, code: &'static str, message: String) -> StepError {
        let ends = self.ends.iter().enumerate().filter_map(|(n, end)| Some((n, end.as_ref()?)));
        let failures: Vec<_> =
            ends.filter(|(_, end)| failed(end)).filter_map(|(n, end)| Some((n, end.error()?))).collect();
        let details: Map<String, Value> =
            failures.iter().map(|(n, error)| (self.plan.branches[*n].id.to_string(), json!(error))).collect();
        let first = failures.first().map(|(_, error)| (*error).clone());
        let class = first.as_ref().map_or(ErrorClass::Agent, |error| error.class);
        let retryable = failures.iter().any(|(_, error)| error.retryable);
        let message = match &first {
            Some(error) => format!("{message}; first: {error}"),
            None => message,
        };
        let error =
            StepError::new(class, code, message).retryable(retryable).with_details(json!({"branches": details}));
        match first {
            Some(first) => error.with_cause(first),
            None => error,
        }
    }

    fn custom(&self, call: &Call, name: &str, durations: &[Duration]) -> Result<Value, StepError> {
        let function = call
            .run()
            .engine()
            .functions()
            .aggregation(name)
            .ok_or_else(|| StepError::configuration("unknown_function", format!("unknown aggregation `{name}`")))?;
        let results = self.ends.iter().enumerate().map(|(number, end)| BranchResult {
            branch_id: self.plan.branches[number].id.to_string(),
            success: end.as_ref().is_some_and(succeeded),
            result: end.as_ref().filter(|end| succeeded(end)).map(|_| self.value(number)),
            error: end.as_ref().and_then(error),
            duration: durations[number],
        });
        let results = results.collect();
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| function(results)));
        called.unwrap_or_else(|panic| Err(StepError::panicked(&*panic)))
    }

    fn by_branch(&self) -> Value {
        let entries = self.plan.branches.iter().zip(&self.ends).enumerate().map(|(number, (branch, end))| {
            let stopped = |reason: CancelReason| json!({"error": {"code": "cancelled", "message": reason.as_str()}});
            let value = match end {
                Some(Outcome::Failed(failure)) if !failure.handled => json!({"error": *failure.error}),
                Some(Outcome::Cancelled(cancelled)) => stopped(cancelled.reason),
                Some(_) => self.value(number),
                // Whether a cancelled branch had already begun depends on timing, so the output
                // does not show it.
                None => stopped(CancelReason::LostRace),
            };
            (branch.id.to_string(), value)
        });
        Value::Object(entries.collect())
    }

    fn value(&self, number: usize) -> Value {
        match &self.ends[number] {
            Some(Outcome::Completed(output)) => output.value.clone().into_value(),
            _ => Value::Null,
        }
    }
}

/// Returns why the branch failed or was cancelled.
fn error(outcome: &Outcome) -> Option<StepError> {
    match outcome {
        Outcome::Cancelled(cancelled) => Some(cancelled.to_error()),
        outcome => outcome.error().cloned(),
    }
}

/// Returns whether the branch completed, or failed and handled the failure itself.
fn succeeded(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Completed(_) => true,
        Outcome::Failed(failure) => failure.handled,
        _ => false,
    }
}

fn succeeded_or_skipped(outcome: &Outcome) -> bool {
    succeeded(outcome) || matches!(outcome, Outcome::Skipped(_))
}

fn failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(failure) => !failure.handled,
        Outcome::Cancelled(_) => true,
        _ => false,
    }
}
