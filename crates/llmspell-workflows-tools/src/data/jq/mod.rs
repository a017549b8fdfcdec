//! jq queries in process, on a meter.
//!
//! A query is a program that its author may have got wrong, or that was put together from data. So it runs on a thread
//! of its own with a [`Meter`] that stops it at a number of evaluated terms, at a depth of stack, at a time, and when
//! the call is cancelled. What makes a lot in one go (`"x" * n`, `a + a`, `.[n] = 1`, `range(n)`, `tojson`) is bounded
//! by [`guard`] and [`library`]; so is what recursion and loops nest, whose end would overflow the stack: a value in a
//! value, an argument in an argument. It sees its input and nothing else: no environment, no clock, no files, no modules.
//!
//! One thing is not metered: `..`, `sort` and comparisons of a value that holds itself many times over, which only a
//! query makes that sets out to. The call ends at its time even then, but the thread works on.

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

/// Stack of the thread that a query runs on: address space, of which only what is used becomes memory.
const STACK_BYTES: usize = 512 * 1024 * 1024;

/// How long beyond its time a query that is stuck inside one operation is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// What a query gave for one input.
pub(crate) type Outputs = Vec<Value>;

/// Runs `query` on each input and gives each one's outputs.
///
/// The time and the number of terms are for all inputs together.
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
            let answer = caught(|| run_here(&query, inputs, &limits, &token));
            // Nobody listens when the call was given up.
            let _ = sender.send(answer);
        }
    };
    std::thread::Builder::new().name("jq".to_owned()).stack_size(STACK_BYTES).spawn(work).map_err(|error| {
        let message = format!("no thread could be started for the query: {error}");
        ToolError::new(ToolErrorClass::Transient, "no_thread", message)
    })?;
    tokio::select! {
        answer = receiver => answer.unwrap_or_else(|_| Err(internal("it ended without an answer"))),
        () = token.cancelled() => Err(ToolError::cancelled()),
        () = tokio::time::sleep(limits.time + GRACE) => Err(limits.error(Stop::Time)),
    }
}

/// Compiles and runs on the thread at hand, which should have a large stack.
fn run_here(
    query: &str,
    inputs: Vec<Value>,
    limits: &Limits,
    token: &CancellationToken,
) -> Result<Vec<Outputs>, ToolError> {
    if query.len() > limits.query_bytes {
        let message = format!("the query has {} bytes; at most {} are allowed", query.len(), limits.query_bytes);
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

/// Turns the stop of the meter, which unwinds the interpreter, and a panic inside it into errors.
fn caught<T>(work: impl FnOnce() -> Result<T, ToolError>) -> Result<T, ToolError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => match payload.downcast::<(Stop, Limits)>() {
            Ok(stopped) => Err(stopped.1.error(stopped.0)),
            Err(panic) => Err(internal(panic_message(panic.as_ref()))),
        },
    }
}

/// Leaves the interpreter, which has no other way out; no panic hook runs.
fn stop(reason: Stop, limits: &Limits) -> ! {
    resume_unwind(Box::new((reason, limits.clone())))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}

fn internal(message: &str) -> ToolError {
    invalid("query_failed", format!("the query could not be run: {message}"))
}

#[cfg(test)]
mod tests;
