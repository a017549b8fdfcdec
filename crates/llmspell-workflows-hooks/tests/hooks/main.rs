//! Hooks and events in real runs on the real engine.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod after;
mod before;
mod builtin;
mod choices;
mod combine;
mod events;
mod recorded;
mod selecting;
mod signalling;
mod subscribers;
mod support;
mod trouble;
