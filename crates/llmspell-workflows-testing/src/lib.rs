//! What the tests of workflows are made of.
//!
//! - [`generate`]: random valid definitions, as strategies of proptest.

pub mod generate;
