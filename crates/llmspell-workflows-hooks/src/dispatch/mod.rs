//! Selects hooks, calls them in order, and combines their answers.

mod combine;
mod dispatcher;
mod hook_sequence;
mod watchdog;

pub use combine::Combine;
pub(crate) use combine::{FireResult, fire};
pub(crate) use dispatcher::Members;
pub use dispatcher::{HookDispatcher, HookDispatcherBuilder};
pub(crate) use watchdog::Watchdog;
