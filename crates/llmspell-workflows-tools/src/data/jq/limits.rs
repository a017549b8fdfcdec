use std::time::Duration;

use super::meter::Stop;
use crate::data::support::too_large;
use crate::{ToolError, ToolErrorClass};

/// The limits of one query call.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The maximum length of the query text, in bytes.
    pub(crate) query_bytes: usize,
    /// The maximum number of evaluated terms; a loop evaluates the terms of its body in every iteration.
    pub(crate) terms: u64,
    /// The maximum recursion depth, in bytes of stack.
    pub(crate) stack_bytes: usize,
    /// The maximum number of outputs for all inputs together.
    pub(crate) outputs: u64,
    /// The maximum size of all outputs together: the number of values plus the bytes of text.
    pub(crate) output_size: u64,
    /// The maximum number of items, bytes or digits in a value that a single operation creates.
    pub(crate) operation_size: usize,
    /// The time limit, in wall-clock time.
    pub(crate) time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_bytes: 16 * 1024,
            terms: 50_000_000,
            stack_bytes: 96 * 1024 * 1024,
            outputs: 1_000_000,
            output_size: 64 * 1024 * 1024,
            operation_size: 16 * 1024 * 1024,
            time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Creates the error for a reached limit.
    pub(super) fn error(&self, stop: Stop) -> ToolError {
        let limit = match stop {
            Stop::Cancelled => return ToolError::cancelled(),
            Stop::Time => {
                let message = format!("the query exceeded its time limit of {} s", self.time.as_secs_f64());
                return ToolError::new(ToolErrorClass::Timeout, "query_timeout", message)
                    .with_help("reduce the input before the query, or make sure that its loops end");
            }
            Stop::Terms => format!("evaluated more than {} terms", self.terms),
            Stop::Depth => "recursed too deeply".to_owned(),
            Stop::Outputs => format!("returned more than {} outputs", self.outputs),
            Stop::OutputSize => format!("returned outputs of more than {} values and bytes", self.output_size),
            Stop::OutputDepth => "returned an output that is nested too deeply".to_owned(),
            Stop::Operation => format!("created a value of more than {} items or bytes", self.operation_size),
        };
        too_large("query_limit", format!("the query {limit}"))
            .with_help("reduce the input before the query, or make sure that its loops end")
    }
}
