//! The engine as its users see it: what each pattern promises, what goes wrong, and what is recorded.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod cancelling;
mod depth;
mod graphs;
mod handlers;
mod races;
mod resume;
mod secrets;
mod support;
mod time_limits;
