//! Activities see their deadlines, deadlines are enforced, and delays are limited.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{Driven, RunOptions, RunStatus, WorkflowInput, engine::Wait, model::*};
use serde_json::json;

use crate::support::{Lab, ManualClock, echo, fail};

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_block_applies_to_all_steps_inside_it() {
    let mut lab = Lab::new();
    lab.register("deadline", |context| async move {
        let left = context.deadline().map(|deadline| deadline.duration_since(context.now()).as_secs());
        Ok(json!(left).into())
    });
    let ask = |id: &str| Step::function(id, "deadline", json!(null));
    let block = Step::sequence(
        "block",
        [
            ask("plain"),
            ask("shorter").with_timeout(Duration::from_secs(10)),
            ask("longer").with_timeout(Duration::from_secs(90)),
            Loop::items(json!([1]), [Parallel::new([ask("deep")]).into_step("both")]).into_step("each"),
        ],
    );
    let finished = lab.steps([block.with_total_timeout(Duration::from_secs(60)), ask("outside")]).await;
    let left = |id: &str| finished.step(id).unwrap().output.as_deref().cloned().unwrap();
    assert_eq!(["plain", "shorter", "longer", "deep"].map(left), [json!(60), json!(10), json!(60), json!(60)]);
    assert_eq!(left("outside"), json!(null));
}

#[test]
fn parked_runs_wake_at_their_deadline() {
    let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let time = ManualClock(Arc::new(Mutex::new(begin)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let drive = |definition: Definition| {
        runtime.block_on(async {
            let engine = Lab::new().engine().clock(time.clone()).timers(time.clone()).build();
            let plan = engine.prepare(definition).unwrap();
            let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
            engine.drive(&run).await
        })
    };
    let sleep = |seconds: u64| StepKind::Sleep(Delay::Fixed(Duration::from_secs(seconds)));
    let block = Step::sequence("block", [Step::new("sleep", sleep(100))]).with_total_timeout(Duration::from_secs(60));
    let Driven::Parked(wait) = drive(Definition::sequence("parks", [block])) else { panic!("the run did not park") };
    assert_eq!(wait, Wait { wake_at: Some(begin + Duration::from_secs(60)), inbox_after: None });
}

fn retried(retry: Retry) -> Step {
    Step::function("failing", "fail", json!({})).with_retry(retry)
}

#[tokio::test(start_paused = true)]
async fn delays_with_jitter_do_not_exceed_delay_max() {
    let longest = Duration::from_secs(10);
    for attempts in 2..30 {
        let retry = Retry { delay_max: longest, jitter: 1.0, ..Retry::attempts(attempts) };
        let finished = Lab::new().steps([retried(Retry { initial_delay: longest, ..retry })]).await;
        let took = finished.ended_at.duration_since(finished.started_at);
        assert!(took.as_secs() <= 10 * i64::from(attempts - 1), "{attempts} attempts took {took}");
    }
}

/// The limit applies to all attempts, so its error counts them and names the failure before it.
#[tokio::test(start_paused = true)]
async fn error_of_a_total_timeout_has_the_attempts_and_their_last_error() {
    let attempts = Retry { initial_delay: Duration::from_secs(10), multiplier: 1.0, jitter: 0.0, ..Retry::attempts(9) };
    let step = Step { retry: Some(attempts), ..fail("a") }.with_total_timeout(Duration::from_secs(25));
    let finished = Lab::new().steps([step]).await;
    let error = finished.error.unwrap();
    assert_eq!((&*error.code, error.attempt, &error.details), ("timeout", 3, &Some(json!({"limit": "total_timeout"}))));
    let cause = error.cause.unwrap();
    assert_eq!((&*cause.code, cause.attempt), ("boom", 3));
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_an_infinite_delay() {
    let retry = Retry { delay_max: Duration::MAX, initial_delay: Duration::MAX, jitter: 1.0, ..Retry::attempts(9) };
    let step = retried(retry).with_total_timeout(Duration::from_secs(60));
    let finished = Lab::new().steps([step, echo("b", json!(1))]).await;
    assert_eq!((finished.status, finished.error.unwrap().code.as_ref()), (RunStatus::Failed, "timeout"));
}
