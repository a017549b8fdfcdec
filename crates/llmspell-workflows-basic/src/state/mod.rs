//! The state of a run, separate from step outputs: [`WorkflowState`], its changes, and joining them.
//!
//! A state is a persistent map: a copy costs one reference count, regardless of the number of keys, so every branch
//! works on its own copy. A step changes the state only through its outcome, as a list of [`Change`]s. A value that
//! shares parts with others is a [`SharedValue`]; a list that grows step by step is stored, and recorded, as its
//! additions: a [`List`].

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
