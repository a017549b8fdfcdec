//! Queries about the records of a run, for interceptors outside the journal.

use llmspell_workflows_basic::engine::{Call, DecisionPoint};
use llmspell_workflows_state::RunJournal;

/// Returns whether the outcome of `call`'s step is recorded, so that the step does not run
/// again.
#[must_use]
pub fn is_recorded(call: &Call) -> bool {
    let journal = call.run().extension::<RunJournal>();
    journal.is_some_and(|journal| journal.knows_end(&call.path().to_string()))
}

/// Returns whether the choice at `point` is recorded, so that it is not made again.
#[must_use]
pub fn is_choice_recorded(point: &DecisionPoint<'_>) -> bool {
    let journal = point.call.run().extension::<RunJournal>();
    journal.is_some_and(|it| it.knows_choice(&point.call.path().to_string(), point.key))
}
