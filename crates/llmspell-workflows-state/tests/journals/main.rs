//! Tests for the journals. Every adapter behaves the same, keeps all acknowledged records no
//! matter how its process ends, and returns a clear error when it cannot.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod arriving;
mod child;
mod conformance;
mod crashes;
mod damage;
mod full;
mod growing;
mod heads;
mod kills;
mod peeking;
mod running_ahead;
mod support;
mod syncs;
mod system_calls;
mod watched;
mod writes;
