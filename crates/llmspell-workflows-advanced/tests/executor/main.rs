//! Durable runs as their users see them: gone on with, paused, signalled, retried, forked.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod again;
mod broken;
mod children;
mod journals;
mod killed;
mod lab;
mod large;
mod messages;
mod owned;
mod parked;
mod prepared;
mod slow_disk;
mod stuck;
