//! Tests for hooks and events in runs of the real engine.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod after;
mod before;
mod builtin;
mod choices;
mod combine;
mod events;
mod failures;
mod recorded_answers;
mod secrets;
mod selectors;
mod signals;
mod subscribers;
mod support;
