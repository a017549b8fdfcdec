//! The state of runs, seen from outside: at a point in time, saved under a name, or compared.
//!
//! Runs do not need this to survive: their changes are in the journal, and every state is a fold over its records.

mod fold;
mod manager;
mod storage;

pub(crate) use fold::{state_of, state_with_keys};
pub use manager::StateManager;
pub(crate) use manager::state_from_records;
pub use storage::{StateStorage, StoredStates};
