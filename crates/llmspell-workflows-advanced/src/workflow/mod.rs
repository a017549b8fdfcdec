//! Workflows with hooks, sessions and a memory of past runs.
//!
//! [`AdvancedWorkflow`] is a [`BasicWorkflow`](llmspell_workflows_basic::BasicWorkflow) with lifecycle methods.
//! [`EnhancedWorkflow`] wraps any basic workflow without changing it.

mod advanced;
mod enhanced;
mod error;
mod execute;
mod lifecycle;
mod output;
mod similar;

pub use advanced::{AdvancedWorkflow, StepResult};
pub use enhanced::EnhancedWorkflow;
pub use error::AdvancedError;
pub use output::AdvancedWorkflowOutput;
pub(crate) use output::SESSION;
pub use similar::WorkflowExecution;
