//! The stores: every adapter does the same, and says clearly what keeps it from it.

mod conformance;
mod damage;
mod golden;
mod processes;
mod support;
mod versions;
