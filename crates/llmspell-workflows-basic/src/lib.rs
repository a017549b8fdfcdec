//! The model, the engine and the patterns.

mod error;
pub mod model;
mod path;
mod problem;
pub mod state;

pub use error::{ErrorClass, StepError};
pub use path::{PathError, PathLink, Segment, StepId, StepPath};
pub use problem::{Place, Problem, Severity, nearest};
pub use state::WorkflowState;
