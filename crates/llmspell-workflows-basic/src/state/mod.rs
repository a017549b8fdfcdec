//! The state of a run, separate from step outputs: [`WorkflowState`], its changes, and joining them.
//!
//! A state is a persistent map: copying only increments a reference count, so every branch works on its own copy. A
//! step changes the state only through its outcome, as a list of [`Change`]s. A [`SharedValue`] may share parts with
//! other values; a list that grows step by step is a [`List`], which is stored and recorded as its additions.

mod change;
mod combine;
mod difference;
mod exact_sum;
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
