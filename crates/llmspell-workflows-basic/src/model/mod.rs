//! Workflows as data, created by builders or from YAML or Lua.
//!
//! A [`Definition`] is plain data: it serializes, compares by value and has a
//! [hash](Definition::hash). Expressions are stored as strings; [`crate::Engine::prepare`] parses
//! and checks them once. Anything other than data, such as a closure, is registered under a name
//! and referenced by that name.

mod compare;
mod composite;
mod definition;
mod delay;
mod kind;
mod leaves;
mod lookup;
mod migration;
mod policy;
mod step;

pub use compare::{ChangedNames, StepChange};
pub use composite::*;
pub use definition::{Definition, Durability, InputSpec, InputType};
pub use delay::{Delay, DelayError};
pub use kind::{Effect, Group, KindTraits, Pattern, StateKeys, StepKind};
pub use leaves::*;
pub use migration::Migration;
pub use policy::{Backoff, OnError, Retry, TriggerRule};
pub use step::{ActivityCall, ActivityName, Step, Steps};
