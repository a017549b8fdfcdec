//! Reads, saves and compares the states of runs from outside the runs.
//!
//! Durable runs do not depend on this module: their changes are in the journal, and every state is a fold over records.

mod fold;
mod manager;
mod storage;

pub(crate) use fold::{state_of, state_with_keys};
pub use manager::StateManager;
pub(crate) use manager::state_from_records;
pub use storage::{StateStorage, StoredStates};
