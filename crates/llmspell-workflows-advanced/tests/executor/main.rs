//! Durable runs from the user's point of view: resume, pause, signals, retry and fork.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod backups;
mod broken;
mod children;
mod clocks;
mod journals;
mod killed;
mod lab;
mod large;
mod messages;
mod named_limits;
mod outputs;
mod owned;
mod parked;
mod prepared;
mod redefine;
mod retry;
mod signals;
mod slow_disk;
mod stuck;
