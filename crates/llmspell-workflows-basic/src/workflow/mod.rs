//! The public API of workflows: input, output, builders, and workflows as code.
//!
//! [`SequentialWorkflow`], [`ParallelWorkflow`], [`ConditionalWorkflow`] and [`LoopWorkflow`] build a
//! [`Definition`](crate::model::Definition) and run it. To write a workflow as async Rust, implement
//! [`BasicWorkflow`] and call [`ExecutionContext::step`].

mod basic;
mod builders;
mod code;
mod context;
mod error;
mod input;
mod output;
mod registry;
mod status;

pub use basic::{BasicWorkflow, WorkflowMetadata, WorkflowSchema};
pub use builders::{
    AggregationStrategy, Branch, ConditionalStep, ConditionalWorkflow, ConditionalWorkflowBuilder, Defined,
    ErrorStrategy, Iterator, LoopWorkflow, LoopWorkflowBuilder, ParallelErrorMode, ParallelWorkflow,
    ParallelWorkflowBuilder, SequentialWorkflow, SequentialWorkflowBuilder,
};
pub(crate) use code::code;
pub use context::ExecutionContext;
pub use error::WorkflowError;
pub use input::WorkflowInput;
pub use output::{Finished, Steps, WorkflowMetrics, WorkflowOutput};
pub use registry::WorkflowRegistry;
pub use status::RunStatus;
