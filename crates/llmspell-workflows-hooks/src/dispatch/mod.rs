//! Calling hooks: who is concerned, in which order, and what their answers come to.

mod combine;
mod dispatcher;
mod turns;
mod watch;

pub use combine::Combine;
pub(crate) use combine::{Fired, fire};
pub(crate) use dispatcher::Members;
pub use dispatcher::{HookDispatcher, HookDispatcherBuilder};
pub(crate) use watch::Watch;
