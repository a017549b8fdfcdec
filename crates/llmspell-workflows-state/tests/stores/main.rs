//! The stores: every adapter does the same, and says clearly what keeps it from it.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod conformance;
mod damage;
mod figures;
mod golden;
mod processes;
mod support;
mod upkeep;
mod versions;
