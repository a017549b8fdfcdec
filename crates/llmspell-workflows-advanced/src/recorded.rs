//! What of a run is on record, for interceptors that stand outside of the journal and tell old from new.

use llmspell_workflows_basic::engine::{Call, DecisionPoint};
use llmspell_workflows_state::RunJournal;

/// Whether it is on record how the step of `call` ended: it does not run again.
#[must_use]
pub fn is_recorded(call: &Call) -> bool {
    let journal = call.run().extension::<RunJournal>();
    journal.is_some_and(|journal| journal.knows_end(&call.path().to_string()))
}

/// Whether the choice at `point` is on record: it is not made again.
#[must_use]
pub fn is_choice_recorded(point: &DecisionPoint<'_>) -> bool {
    let journal = point.call.run().extension::<RunJournal>();
    journal.is_some_and(|it| it.knows_choice(&point.call.path().to_string(), point.key))
}
