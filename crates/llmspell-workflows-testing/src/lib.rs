//! What the tests of workflows are made of.
//!
//! - [`generate`]: random valid definitions, as [`proptest`] strategies.

pub mod generate;
