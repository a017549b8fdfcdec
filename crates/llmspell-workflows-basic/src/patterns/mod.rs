//! How composites run their steps.
//!
//! Patterns do not know about journals, hooks or retries: they execute their children through the engine, and make
//! every decision through [`crate::engine::Call::decide`]. Each pattern has its own file; `join` and `progress` contain
//! shared code.

mod choice;
mod graph;
mod iterate;
mod join;
mod judge;
mod list;
mod loop_plan;
mod parallel;
mod parallel_plan;
mod progress;
mod range;
mod route;
mod until;

pub use judge::BranchResult;
pub(crate) use list::ListPlan;
pub(crate) use progress::with_outputs;
pub(crate) use until::UntilTest;
