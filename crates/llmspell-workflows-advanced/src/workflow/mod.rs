//! Workflows with everything around them.
//!
//! [`AdvancedWorkflow`] is a [`BasicWorkflow`](llmspell_workflows_basic::BasicWorkflow) with methods of its own around
//! its steps; [`EnhancedWorkflow`] makes one of any basic workflow as it is.

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
