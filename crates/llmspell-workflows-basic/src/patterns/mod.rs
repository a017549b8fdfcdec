//! How composites run their steps.
//!
//! Patterns know nothing of journals, hooks or retries: they call the engine for their children, and every choice they
//! make goes through [`crate::engine::Call::decide`]. Each is one file; what several need is in `join` and `progress`.

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
mod route;

pub use judge::BranchResult;
pub(crate) use list::ListPlan;
pub(crate) use progress::with_outputs;
