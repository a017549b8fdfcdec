//! Every interceptor position can be used and wraps the documented part of a step.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Finished, RunStatus, WorkflowInput,
    engine::{Call, Interceptor, Next, Outcome, Position},
    model::{Backoff, Definition, Retry, Step},
};
use serde_json::json;

use crate::support::Lab;

const POSITIONS: [Position; 10] = [
    Position::Trace,
    Position::Journal,
    Position::Hooks,
    Position::Cache,
    Position::DeadLetter,
    Position::TotalTimeout,
    Position::Retry,
    Position::Breaker,
    Position::Limits,
    Position::AttemptTimeout,
];

type Seen = Arc<Mutex<Vec<String>>>;

/// An interceptor that records when it is entered and how the call inside it ended.
struct Recorder(Position, Seen);

#[async_trait]
impl Interceptor for Recorder {
    fn applies(&self, step: &Step) -> bool {
        step.kind.is_leaf()
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        self.1.lock().unwrap().push(format!("{:?}", self.0));
        let outcome = next.run(call).await;
        let end = if outcome.error().is_some() { "failed" } else { "ended" };
        self.1.lock().unwrap().push(format!("{:?} {end}", self.0));
        outcome
    }
}

/// An interceptor that answers without running the step.
struct CachedAnswer;

#[async_trait]
impl Interceptor for CachedAnswer {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        if call.step().kind.is_leaf() { Outcome::completed(json!("cached")) } else { next.run(call).await }
    }
}

/// Runs `step` with a recorder at each position, registered in reverse order.
async fn run(step: Step, cached: bool) -> (Finished, Vec<String>) {
    let seen = Seen::default();
    let mut builder = Lab::new().engine();
    for position in POSITIONS.into_iter().rev() {
        builder = builder.interceptor(position, Recorder(position, seen.clone()));
    }
    if cached {
        builder = builder.interceptor(Position::Cache, CachedAnswer);
    }
    let finished = builder.build().run(Definition::sequence("positions", [step]), WorkflowInput::default()).await;
    let seen = seen.lock().unwrap().clone();
    (finished.unwrap(), seen)
}

fn entered(seen: &[String]) -> Vec<&str> {
    seen.iter().map(String::as_str).filter(|entry| !entry.contains(' ')).collect()
}

#[tokio::test(start_paused = true)]
async fn interceptors_run_in_position_order_regardless_of_registration_order() {
    let (_, seen) = run(Step::function("a", "echo", json!(1)), false).await;
    assert_eq!(entered(&seen), POSITIONS.map(|position| format!("{position:?}")));
    assert!(POSITIONS.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn inner_interceptors_and_the_step_do_not_run_after_a_cache_hit() {
    let (finished, seen) = run(Step::function("a", "fail", json!({})), true).await;
    assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &json!("cached")));
    assert_eq!(entered(&seen), ["Trace", "Journal", "Hooks", "Cache"]);
}

#[tokio::test(start_paused = true)]
async fn dead_letter_interceptors_see_the_last_failure_and_breakers_see_all_attempts() {
    let retry = Retry::attempts(3).with_backoff(Backoff::Immediate);
    let (finished, seen) = run(Step::function("a", "fail", json!({})).with_retry(retry), false).await;
    assert_eq!(finished.status, RunStatus::Failed);
    let failed = |position: &str| seen.iter().filter(|entry| **entry == format!("{position} failed")).count();
    assert_eq!(["Hooks", "DeadLetter", "Breaker", "Limits"].map(failed), [1, 1, 3, 3]);
}
