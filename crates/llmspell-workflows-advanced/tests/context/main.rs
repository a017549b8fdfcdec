//! Everything around durable runs: hooks, events, sessions, memory, outputs.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod checkpoints;
mod crashes;
mod defaults;
mod events;
mod hooks;
mod hosted;
mod lifecycle;
mod migration;
mod outputs;
mod redefining;
mod sessions;
mod support;
mod vectors;
mod workflows;
