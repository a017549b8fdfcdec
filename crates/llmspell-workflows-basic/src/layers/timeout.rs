use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    ErrorClass, StepError, clock,
    engine::{
        Call, CancelReason, Cancelled, Interceptor, Next, Outcome, Tasks, Wait, WaitsFor, choice, decide, recall,
    },
    model::Step,
    plan::Length,
};

/// Limits the time of one attempt of a step, or of all attempts.
///
/// The deadline is an absolute time, decided when the step or the attempt begins, so it can pass
/// even while no process drives the run. The step runs in its own task, so that even a step that
/// blocks its thread can be abandoned.
pub(super) enum Timeout {
    Attempt,
    Total,
}

#[async_trait]
impl Interceptor for Timeout {
    fn applies(&self, step: &Step) -> bool {
        match self {
            // A step that waits for an event applies its timeout itself.
            Self::Attempt => step.timeout.is_some() && !step.kind.traits().waits_for_signal,
            Self::Total => step.total_timeout.is_some(),
        }
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let length = match self {
            Self::Attempt => &call.node().timeout,
            Self::Total => &call.node().total_timeout,
        };
        let own = match length.as_ref().map(|length| length.evaluate(&call.view())).transpose() {
            Ok(own) => own,
            Err(error) => return call.failed(error),
        };
        let given = call.run().given_limit.get().copied().filter(|_| call.node().is_root);
        let of_run = call.run().timeout.filter(|_| call.node().is_root);
        let of_run = given.map(|(length, _)| length).or(of_run);
        let now = call.run().now();
        let (length, deadline) = match own.into_iter().chain(of_run).min() {
            Some(length) => (length, clock::after(now, length)),
            // This limit was set when the run was driven earlier.
            None if call.node().is_root => match recall!(call, choice::TotalDeadline) {
                Some(deadline) => (clock::until(call.run().started_at(), deadline), deadline),
                None => return next.run(call).await,
            },
            None => return next.run(call).await,
        };
        let deadline = match self {
            Self::Attempt => decide!(call, choice::AttemptDeadline(call.attempt()), deadline),
            Self::Total => decide!(call, choice::TotalDeadline, deadline),
        };
        let (length, deadline) = match given {
            Some((length, earlier)) if earlier < deadline => (length, earlier),
            _ => (length, deadline),
        };
        self.run_until(call, next, deadline, length).await
    }
}

impl Timeout {
    async fn run_until(&self, call: Call, next: Next, deadline: Timestamp, length: std::time::Duration) -> Outcome {
        let run = call.run().clone();
        let is_late = run.now() >= deadline;
        if is_late && !run.is_unsettled(call.path()) {
            return self.timed_out(&call, length, None);
        }
        let mut tasks = Tasks::new(&call);
        let earliest = call.deadline().map_or(deadline, |outer| outer.min(deadline));
        let inner = tasks.own().with_deadline(earliest);
        if is_late {
            // From here on, only unsettled steps are entered.
            tasks.stop(CancelReason::Timeout);
            tasks.spawn(0, inner, |call| next.run(call));
            return self.stopped(&call, tasks, length).await;
        }
        tasks.spawn(0, inner, |call| next.run(call));
        let _wakes = run.wakes_at(WaitsFor::Deadline, deadline);
        tokio::select! {
            biased;
            ended = tasks.next() => match ended {
                // The step is also woken at its deadline, so that it times out.
                Some((_, Outcome::Parked(wait))) => Outcome::Parked(wait.and(Wait { wake_at: Some(deadline), inbox_after: None })),
                Some((_, outcome)) => outcome,
                None => call.failed(StepError::configuration("panic", "the task of the step was lost")),
            },
            () = run.clock().sleep_until(deadline) => {
                tasks.stop(CancelReason::Timeout);
                self.stopped(&call, tasks, length).await
            }
        }
    }

    /// Waits for the tasks, which have been asked to stop, and returns the outcome of the step.
    async fn stopped(&self, call: &Call, mut tasks: Tasks, length: std::time::Duration) -> Outcome {
        let (left, unfinished) = tasks.drain().await;
        unfinished.stuck_or(match call.cancel().reason() {
            Some(reason) => Outcome::cancelled(Cancelled { reason, ..left }),
            None => self.timed_out(call, length, Some(&left)),
        })
    }

    fn timed_out(&self, call: &Call, length: std::time::Duration, left: Option<&Cancelled>) -> Outcome {
        let (what, code) = match self {
            Self::Attempt => ("the attempt", "timeout"),
            Self::Total if call.node().is_root => ("the run", "run_timed_out"),
            Self::Total => ("the step, including all attempts,", "timeout"),
        };
        let limit = match (self, &call.node().total_timeout) {
            (Self::Total, Some(Length::CleanupLimit)) => ", the limit `cleanup_step_max`",
            _ => "",
        };
        let left = left.map(Cancelled::left_behind).unwrap_or_default();
        let length = SignedDuration::try_from(length).map_or_else(|_| String::new(), |length| format!("{length:#}"));
        let message = format!("{what} took longer than {length}{limit}{left}");
        let error = StepError::new(ErrorClass::Timeout, code, message);
        if matches!(self, Self::Attempt) || call.node().is_root {
            return call.failed(error);
        }
        // The limit applies to all attempts, so the error tells what they were.
        let (attempts, last) = call.run().records().retries(call.record());
        let mut error = error.with_details(json!({"limit": "total_timeout"})).at(call.path());
        error.attempt = attempts;
        error.cause = last.map(Box::new);
        call.failed(error)
    }
}
