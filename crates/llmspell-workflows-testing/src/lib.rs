//! What the tests of workflows are made of.
//!
//! - [`crash`]: crashes a workflow at every boundary, and compares.
//! - [`patterns`]: every pattern of a workflow, to be crashed.
//! - [`generate`]: random valid definitions, as strategies of proptest.

pub mod crash;
pub mod generate;
pub mod patterns;
