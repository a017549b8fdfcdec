//! What a run remembers beside the outputs of its steps: [`WorkflowState`], its changes, and their joining.
//!
//! A state is a persistent map: a copy costs one reference count, however many keys there are, so every branch works
//! on its own. A step changes it only through its outcome, as a list of [`Change`]s. What shares values with others is a
//! [`SharedValue`]; a list that grows step by step is kept, and recorded, as what was added to it: a [`List`].

mod change;
mod difference;
mod join;
mod list;
mod shared;
mod store;

pub use change::{Append, Change, Edit, Key, StatePath, StatePathError};
pub use difference::{Difference, changes_between, differences};
pub use join::{Conflict, Joined, Side, join};
pub use list::List;
pub use shared::{Parts, SharedValue};
pub use store::{StateChange, StateError, WorkflowState};
