//! The journals: every adapter does the same, keeps what it acknowledged whatever ends its process, and says clearly
//! what keeps it from it.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod child;
mod conformance;
mod crashes;
mod damage;
mod full;
mod growing;
mod kills;
mod looking;
mod support;
mod syncs;
mod system_calls;
