//! Tests for the stores: every adapter behaves the same, and returns a clear error when it
//! cannot.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod conformance;
mod damage;
mod figures;
mod golden;
mod processes;
mod support;
mod upkeep;
mod versions;
