//! Runs jq queries in process, with limits.
//!
//! A query is a program that may contain mistakes or may have been assembled from data. It runs on
//! its own thread with a [`Meter`] that stops it when it exceeds a number of evaluated terms, a
//! stack depth or a time limit, or when the call is cancelled. [`guard`] and [`library`] limit
//! individual operations that can create large values (`"x" * n`, `a + a`, `.[n] = 1`, `range(n)`,
//! `tojson`). They also limit how deeply recursion and loops nest values and arguments, because
//! dropping deeply nested values would overflow the stack. A query can access only its input, not
//! the environment, the clock, files or modules.
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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::support::invalid;
use crate::{ToolError, ToolErrorClass};

pub(crate) use limits::Limits;
use meter::{Meter, Stop};
use program::Program;

/// The stack size of a query's thread. This is address space; only the used part takes up memory.
const STACK_BYTES: usize = 512 * 1024 * 1024;

/// How long to wait, after the time limit, for a query stuck inside a single operation.
const GRACE: Duration = Duration::from_secs(1);

/// The outputs of a query for one input.
pub(crate) type Outputs = Vec<Value>;

/// A compiled query that can be run on one input after another.
pub(crate) struct Query<'q> {
    program: &'q Program,
    limits: &'q Limits,
    token: &'q CancellationToken,
    /// The start time of the current input.
    started: &'q Mutex<Instant>,
}

impl Query<'_> {
    /// Runs the query on an input, and passes each output to `emit`. The limits apply to this input alone.
    pub(crate) fn run(
        &self,
        input: Value,
        mut emit: impl FnMut(Value) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let meter = Meter::start(self.program, self.limits, self.token);
        catch_stop(|| self.program.run(&meter, input, &mut emit))
    }
}

/// Compiles `query`, and calls `work` with it on a thread with a large stack.
///
/// Apart from running the query, `work` must not do anything slow. If the call is abandoned, the
/// token passed to `work` is cancelled.
pub(crate) async fn with_query<T: Send + 'static>(
    query: String,
    limits: Limits,
    token: &CancellationToken,
    work: impl FnOnce(&Query<'_>, &CancellationToken) -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let started = Arc::new(Mutex::new(Instant::now()));
    let own_token = token.child_token();
    let _abandoned = own_token.clone().drop_guard();
    let on_thread = {
        let (limits, started) = (limits.clone(), started.clone());
        move || {
            let result = catch_stop(|| {
                check_query(&query, &limits)?;
                let program = Program::compile(&query)?;
                let query = Query { program: &program, limits: &limits, token: &own_token, started: &started };
                work(&query, &own_token)
            });
            // The receiver is gone if the call was abandoned.
            let _ = sender.send(result);
        }
    };
    std::thread::Builder::new().name("jq".to_owned()).stack_size(STACK_BYTES).spawn(on_thread).map_err(|error| {
        let message = format!("cannot start a thread for the query: {error}");
        ToolError::new(ToolErrorClass::Transient, "no_thread", message)
    })?;
    tokio::select! {
        result = receiver => result.unwrap_or_else(|_| Err(internal("the query's thread ended without a result"))),
        () = token.cancelled() => Err(ToolError::cancelled()),
        () = stuck(&started, limits.time + GRACE) => Err(limits.error(Stop::Time)),
    }
}

/// Waits until one input has taken longer than `longest`.
async fn stuck(started: &Mutex<Instant>, longest: Duration) {
    loop {
        let elapsed = started.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        match longest.checked_sub(elapsed) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
            _ => return,
        }
    }
}

/// Runs `query` on each input and returns the outputs for each input.
///
/// The limits on time, evaluated terms and outputs apply to all inputs together.
pub(crate) async fn run(
    query: String,
    inputs: Vec<Value>,
    limits: Limits,
    token: &CancellationToken,
) -> Result<Vec<Outputs>, ToolError> {
    with_query(query, limits, token, |query, token| {
        let meter = Meter::start(query.program, query.limits, token);
        let mut all = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.into_iter().enumerate() {
            let mut outputs = Vec::new();
            let push = |output| {
                outputs.push(output);
                Ok(())
            };
            query.program.run(&meter, input, push).map_err(|error| at_input(error, index))?;
            all.push(outputs);
        }
        Ok(all)
    })
    .await
}

fn check_query(query: &str, limits: &Limits) -> Result<(), ToolError> {
    if query.len() <= limits.query_bytes {
        return Ok(());
    }
    let message = format!("the query is {} bytes long; the limit is {}", query.len(), limits.query_bytes);
    Err(invalid("query_too_long", message))
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

/// Unwinds the interpreter, because there is no other way to stop it; no panic hook runs.
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
