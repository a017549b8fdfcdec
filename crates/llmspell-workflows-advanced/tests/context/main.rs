//! Hooks, events, sessions, vectors and outputs of durable runs.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

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
