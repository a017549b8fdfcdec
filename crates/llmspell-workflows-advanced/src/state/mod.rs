//! The state of runs outside of them: as it was at a point, saved under a name, compared.
//!
//! Nothing here is needed for a run to survive: its changes are in its journal, and every state is a fold over that.

mod fold;
mod manager;
mod storage;

pub(crate) use fold::{state_with_keys, state_of};
pub use manager::StateManager;
pub(crate) use manager::state_from_records;
pub use storage::{StateStorage, StoredStates};
