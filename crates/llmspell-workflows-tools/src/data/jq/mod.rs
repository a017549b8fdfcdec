//! Runs jq queries in process, with limits.
//!
//! A query is a program that may contain mistakes or may have been assembled from data. It runs on its own thread with
//! a [`Meter`] that stops it when it exceeds a number of evaluated terms, a stack depth or a time limit, or when the
//! call is cancelled. [`guard`] and [`library`] limit individual operations that can create large values (`"x" * n`,
//! `a + a`, `.[n] = 1`, `range(n)`, `tojson`). They also limit how deeply recursion and loops nest values and
//! arguments, because dropping deeply nested values would overflow the stack. A query has access only to its input: not
//! to the environment, the clock, files or modules.
//!
//! One case is not metered: `..`, `sort` and comparisons on a value that contains the same part very many times. Only a
//! deliberately constructed query produces such a value. Even then, the call ends at its time limit, but the thread
//! keeps running.

mod calls;
mod guard;
mod library;
mod limits;
mod meter;
mod program;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::support::invalid;
use crate::{ToolError, ToolErrorClass};

pub(crate) use limits::Limits;
use meter::{Meter, Stop};
use program::Program;

/// The stack size of a query's thread. This is address space; only the used part takes memory.
const STACK_BYTES: usize = 512 * 1024 * 1024;

/// How long to wait, after the time limit, for a query that is stuck inside a single operation.
const GRACE: Duration = Duration::from_secs(1);

/// The outputs of a query for one input.
pub(crate) type Outputs = Vec<Value>;

/// Runs `query` on each input and returns the outputs for each input.
///
/// The limits on time, evaluated terms and outputs apply to all inputs together.
pub(crate) async fn run(
    query: String,
    inputs: Vec<Value>,
    limits: Limits,
    token: &CancellationToken,
) -> Result<Vec<Outputs>, ToolError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let work = {
        let (limits, token) = (limits.clone(), token.clone());
        move || {
            let result = catch_stop(|| run_here(&query, inputs, &limits, &token));
            // The receiver is gone if the call was abandoned.
            let _ = sender.send(result);
        }
    };
    std::thread::Builder::new().name("jq".to_owned()).stack_size(STACK_BYTES).spawn(work).map_err(|error| {
        let message = format!("cannot start a thread for the query: {error}");
        ToolError::new(ToolErrorClass::Transient, "no_thread", message)
    })?;
    tokio::select! {
        result = receiver => result.unwrap_or_else(|_| Err(internal("the query's thread ended without a result"))),
        () = token.cancelled() => Err(ToolError::cancelled()),
        () = tokio::time::sleep(limits.time + GRACE) => Err(limits.error(Stop::Time)),
    }
}

/// Compiles and runs the query on the current thread, which should have a large stack.
fn run_here(
    query: &str,
    inputs: Vec<Value>,
    limits: &Limits,
    token: &CancellationToken,
) -> Result<Vec<Outputs>, ToolError> {
    if query.len() > limits.query_bytes {
        let message = format!("the query is {} bytes long; the limit is {}", query.len(), limits.query_bytes);
        return Err(invalid("query_too_long", message));
    }
    let program = Program::compile(query)?;
    let meter = Meter::start(&program, limits, token);
    let mut all = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let outputs = program.run(&meter, input).map_err(|error| at_input(error, index))?;
        all.push(outputs);
    }
    Ok(all)
}

fn at_input(error: ToolError, index: usize) -> ToolError {
    match error.details {
        None => error.with_details(serde_json::json!({ "item": index })),
        Some(_) => error,
    }
}

/// Converts a panic inside the interpreter, or a stop by the meter (which unwinds the interpreter), into an error.
fn catch_stop<T>(work: impl FnOnce() -> Result<T, ToolError>) -> Result<T, ToolError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => match payload.downcast::<(Stop, Limits)>() {
            Ok(stopped) => Err(stopped.1.error(stopped.0)),
            Err(panic) => Err(internal(panic_message(panic.as_ref()))),
        },
    }
}

/// Unwinds the interpreter, which cannot be stopped in any other way; no panic hook runs.
fn stop(reason: Stop, limits: &Limits) -> ! {
    resume_unwind(Box::new((reason, limits.clone())))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the interpreter panicked")
}

fn internal(message: &str) -> ToolError {
    invalid("query_failed", format!("cannot run the query: {message}"))
}

#[cfg(test)]
mod tests;
