//! Workflows as data: what builders, YAML and Lua all make.
//!
//! A [`Definition`] is plain data: it serializes, compares by value and has a [hash](Definition::hash). Texts that are
//! expressions stay texts here; [`crate::Engine::prepare`] parses and checks them once. Whatever data cannot hold, such
//! as a closure, is registered by name and named here.

mod composite;
mod definition;
mod delay;
mod kind;
mod leaves;
mod migration;
mod policy;
mod step;

pub use composite::*;
pub use definition::{Definition, Durability, InputSpec, InputType};
pub use delay::{Delay, DelayError};
pub use kind::{Effect, Group, KindTraits, Pattern, StateKeys, StepKind};
pub use leaves::*;
pub use migration::Migration;
pub use policy::{Backoff, OnError, Retry, TriggerRule};
pub use step::{ActivityCall, ActivityName, Step, Steps};
