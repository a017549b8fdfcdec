//! What the tests of workflows are made of.
//!
//! - [`harness`]: tests of your own workflows, with scripted activities and time that passes at once; begin there.
//! - [`crash`]: crashes a workflow at every boundary, and compares.
//! - [`patterns`]: every pattern of a workflow, to be crashed.
//! - [`generate`]: random valid definitions, as strategies of proptest.

pub mod crash;
pub mod generate;
pub mod harness;
pub mod patterns;
