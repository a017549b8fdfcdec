//! Tests of the engine through its public API: each pattern's guarantees, failures, and
//! records.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod altering;
mod block_fields;
mod cancelling;
mod cleaning_up;
mod code_first;
mod decisions;
mod depth;
mod failures;
mod features_conditional;
mod features_loop;
mod features_parallel;
mod features_retry;
mod features_validate;
mod graphs;
mod growing_lists;
mod handlers;
mod inputs;
mod join_table;
mod joins;
mod missing_fields;
mod named_limits;
mod names;
mod observing;
mod positions;
mod presence;
mod races;
mod reference;
mod resume;
mod secrets;
mod shadowing;
mod stuck;
mod sub_workflows;
mod support;
mod time_limits;
mod undoing;
mod until;
mod waiting;
mod whole_names;
