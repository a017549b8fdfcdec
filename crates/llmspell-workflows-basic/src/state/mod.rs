//! What a run remembers beside the outputs of its steps: [`WorkflowState`], its changes, and their joining.
//!
//! A state is a persistent map: a copy costs one reference count, however many keys there are, so every branch works
//! on its own. A step changes it only through its outcome, as a list of [`Change`]s.

mod change;
mod difference;
mod join;
mod store;

pub use change::{Change, Key, StatePath, StatePathError};
pub use difference::{Difference, changes_between, differences};
pub use join::{Conflict, Joined, Side, join};
pub use store::{StateChange, StateError, WorkflowState};
