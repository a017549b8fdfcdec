//! The test that a loop performs after each iteration.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{list, progress::Progress};
use crate::{
    StepError,
    engine::{Call, Outcome, Scope, Slots, choice},
    expr::Expr,
    model::IterationErrors,
    plan::List,
};

/// The `until` condition of a loop, tested after one iteration.
///
/// The condition is tested after the iteration's steps have ended, but before the iteration itself
/// ends. At this point, the results of its steps are known, even in a resumed run. The answer is
/// recorded before the iteration's outcome.
pub(crate) struct UntilTest {
    condition: Arc<Expr>,
    /// The call of the loop.
    call: Call,
    index: u64,
    /// Whether the loop continues after a failed iteration.
    collects_errors: bool,
    holds: OnceLock<bool>,
}

impl UntilTest {
    pub(super) fn new(condition: &Arc<Expr>, call: &Call, index: usize, errors: IterationErrors) -> Arc<Self> {
        Arc::new(Self {
            condition: condition.clone(),
            call: call.clone(),
            index: index as u64,
            collects_errors: errors != IterationErrors::Stop,
            holds: OnceLock::new(),
        })
    }

    /// Returns whether the loop ends after this iteration, which has already ended.
    pub(super) async fn holds(&self) -> Result<bool, StepError> {
        match self.holds.get() {
            Some(holds) => Ok(*holds),
            // The answer was recorded before the iteration's end. There is no
            // answer if the test failed.
            None => Ok(self.call.recall(choice::Until(self.index)).await?.unwrap_or(false)),
        }
    }

    /// Tests the condition after the steps of `list`, whose results are in `slots`. The iteration
    /// fails if its condition cannot be evaluated.
    async fn test(&self, call: &Call, list: &Arc<List>, slots: &Arc<Slots>, outcome: Outcome) -> Outcome {
        let mut progress = Progress::new(call);
        let output = match &outcome {
            Outcome::Completed(output) => {
                if let Err(blocked) = progress.apply(call, output.state_changes.clone()) {
                    return blocked;
                }
                output.value.to_arc()
            }
            Outcome::Failed(_) if self.collects_errors => Arc::default(),
            _ => return outcome,
        };
        let scope = Scope::list(call.context.scope.clone(), list, slots);
        let scope = Scope::names(Some(scope), vec![("output", output)]);
        let holds = match self.condition.test(&call.seeing(Some(scope), progress.state).view()) {
            Ok(holds) => self.call.decide(choice::Until(self.index), holds).await,
            Err(error) => Err(error.into()),
        };
        match (holds, outcome) {
            (Ok(holds), outcome) => {
                self.holds.get_or_init(|| holds);
                outcome
            }
            (Err(_), failed @ Outcome::Failed(_)) => failed,
            (Err(error), _) => self.call.failed(error),
        }
    }
}

impl fmt::Debug for UntilTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until `{}` after iteration {}", self.condition.source(), self.index)
    }
}

/// Runs the steps of an iteration, then tests whether the loop ends.
pub(super) async fn iteration(call: Call, list: Arc<List>, until: Arc<UntilTest>) -> Outcome {
    let slots = Arc::new(Slots::new(list.nodes.len()));
    let outcome = list::steps(call.clone(), list.clone(), slots.clone()).await;
    until.test(&call, &list, &slots, outcome).await
}
