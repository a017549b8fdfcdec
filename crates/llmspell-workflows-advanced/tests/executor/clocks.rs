//! Runs resumed after the clock was set back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use llmspell_workflows_advanced::{DurableEnd, DurableRun, Executor, Parking};
use llmspell_workflows_basic::{RunStatus, engine::Wait, model::*};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;

use crate::lab::{Lab, start};

/// The duration of each wait.
const WHOLE: Duration = Duration::from_secs(5);

fn sleep() -> Step {
    Step::new("sleep", StepKind::Sleep(WHOLE.into()))
}

fn event(timeout: Duration) -> Step {
    let kind = WaitForEvent { event: "never".into(), on_timeout: OnTimeout::Continue, ..Default::default() };
    Step::new("arrival", StepKind::WaitForEvent(kind)).with_timeout(timeout)
}

/// Returns a definition for each way to wait for a time, with the final status of its run.
fn waits() -> Vec<(Definition, RunStatus)> {
    let retry = Retry { attempts_max: 2, initial_delay: WHOLE, jitter: 0.0, ..Retry::default() };
    let parent = Definition::sequence("child", [Step::workflow("child", "inner", json!({}))])
        .with_workflow(Definition::sequence("inner", [sleep()]));
    let block = Step::sequence("block", [event(Duration::from_secs(3_600))]);
    vec![
        (Definition::sequence("sleep", [sleep()]), RunStatus::Completed),
        (Definition::sequence("event", [event(WHOLE)]), RunStatus::Completed),
        (
            Definition::sequence("retry", [Step::function("f", "flaky", json!({"succeed_at": 2})).with_retry(retry)]),
            RunStatus::Completed,
        ),
        (Definition::sequence("attempt timeout", [block.clone().with_timeout(WHOLE)]), RunStatus::Failed),
        (Definition::sequence("total timeout", [block.with_total_timeout(WHOLE)]), RunStatus::Failed),
        (parent, RunStatus::Completed),
    ]
}

async fn park(executor: &Executor, run: DurableRun) -> Wait {
    match executor.drive(run).await.unwrap() {
        DurableEnd::Waiting(wait) => wait,
        other => panic!("the run does not wait: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_the_clock_back_does_not_lengthen_a_wait() {
    for (definition, status) in waits() {
        let (lab, name) = (Lab::new(), definition.name.clone());
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let executor = |clock: &SimClock| {
            Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO))
        };
        let wrong = SimClock::new(now + SignedDuration::from_hours(30 * 24));
        let first = executor(&wrong);
        let run = start(&first, definition).await;
        let id = run.id();
        park(&first, run).await;
        // Two seconds pass before another process takes over the run and records the takeover.
        wrong.advance(Duration::from_secs(2));
        drop(first);
        let second = executor(&wrong);
        park(&second, second.resume(&lab.known(id).await).await.unwrap()).await;
        drop(second);

        let clock = SimClock::new(now);
        let third = executor(&clock);
        let run = third.resume(&lab.known(id).await).await.unwrap();
        let wait = park(&third, run).await;
        let rest = wait.wake_at.unwrap().duration_since(now);
        assert_eq!(rest, SignedDuration::from_secs(3), "{name}");
        // The time during which no process drives the run also counts.
        clock.advance(Duration::from_secs(1));
        let run = third.resume(&lab.known(id).await).await.unwrap();
        assert_eq!(park(&third, run).await.wake_at, wait.wake_at, "{name}");
        clock.advance(Duration::from_secs(2));
        let run = third.resume(&lab.known(id).await).await.unwrap();
        let DurableEnd::Finished(end) = third.drive(run).await.unwrap() else { panic!("{name} did not finish") };
        assert_eq!(end.status, status, "{name}");
        let warned = end.warnings.iter().filter(|warning| warning.code == "clock_went_back").count();
        assert_eq!(warned, 1, "{name}: {:?}", end.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_clock_lag_does_not_shorten_a_wait() {
    let lab = Lab::new();
    let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let month = SignedDuration::from_hours(30 * 24);
    let right = SimClock::new(now);
    let executor = |clock: &SimClock| {
        Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO))
    };
    let first = executor(&right);
    let run = start(&first, waits().remove(0).0).await;
    let (id, wait) = (run.id(), park(&first, run).await);
    drop(first);
    let behind = SimClock::new(now - month);
    let second = executor(&behind);
    let wait_behind = park(&second, second.resume(&lab.known(id).await).await.unwrap()).await;
    assert_eq!(wait_behind.wake_at, wait.wake_at.map(|at| at - month));
    drop(second);
    right.advance(Duration::from_secs(1));
    let third = executor(&right);
    let run = third.resume(&lab.known(id).await).await.unwrap();
    assert_eq!(park(&third, run).await.wake_at, wait.wake_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_started_in_the_future_is_not_the_last_run() {
    let lab = Lab::new();
    let wrong = SimClock::new(Timestamp::now() + SignedDuration::from_hours(30 * 24));
    let ahead = start(&Executor::new(lab.home(), lab.engine().clock(wrong)), waits().remove(0).0).await;
    assert_eq!(lab.home().find("@last").await.unwrap().id(), ahead.id(), "there is no other run");
    let now = start(&lab.executor(), waits().remove(0).0).await;
    assert_eq!(lab.home().find("@last").await.unwrap().id(), now.id());
}
