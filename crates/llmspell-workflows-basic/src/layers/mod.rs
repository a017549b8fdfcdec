//! The interceptors that every engine has: tracing, timeouts, retries and limits.

mod limits;
mod retry;
mod timeout;
mod trace;

use std::sync::Arc;

use crate::engine::{Position, Stack};

/// Adds the layers of every engine to `stack`.
pub(crate) fn standard(stack: Stack) -> Stack {
    stack
        .with(Position::Trace, Arc::new(trace::Trace))
        .with(Position::TotalTimeout, Arc::new(timeout::Timeout::Total))
        .with(Position::Retry, Arc::new(retry::RetryLayer))
        .with(Position::Limits, Arc::new(limits::LimitLayer))
        .with(Position::AttemptTimeout, Arc::new(timeout::Timeout::Attempt))
}
