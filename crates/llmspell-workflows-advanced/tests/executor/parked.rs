//! Parked runs: how they wake, how much memory they use, and how they are taken over.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_advanced::{DurableEnd, Executor, Message, Parking, RunQuery, StartOptions};
use llmspell_workflows_basic::{RunStatus, WorkflowInput, model::*};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;

use crate::lab::{Lab, start};

fn wait(id: &str, event: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_run_wakes_on_a_signal_and_at_its_wake_time() {
    let lab = Lab::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor = Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO));
    let week = Step::new("week", StepKind::Sleep(Duration::from_secs(7 * 24 * 3600).into()));
    let steps = [wait("one", "one"), week, wait("two", "two"), Step::function("end", "echo", json!("{{ two.data }}"))];
    let run = start(&executor, Definition::sequence("waits", steps)).await;
    let id = run.id();
    let known = lab.known(id).await;
    let driven = {
        let executor = executor.clone();
        tokio::spawn(async move { executor.finish(run).await })
    };
    for (name, data) in [("two", 2), ("one", 1)] {
        lab.home().post(&known, &Message::Signal { name: name.into(), payload: json!(data) }).await.unwrap();
    }
    // The run has consumed the first signal and waits for the timer.
    while lab.home().find(&id.to_string()).await.unwrap().summary.wake_at.is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    let DurableEnd::Finished(end) = driven.await.unwrap().unwrap() else { panic!("the run did not finish") };
    assert_eq!((*end.output).clone(), json!(2));
    assert_eq!(lab.home().find(&id.to_string()).await.unwrap().status(), RunStatus::Completed);
    assert!(end.ended_at.duration_since(end.started_at).as_hours() >= 7 * 24);
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

pub(crate) async fn until_parked(executor: &Executor, count: usize) {
    while executor.parked() != count {
        tokio::task::yield_now().await;
    }
}

/// A parked step keeps its parallelism slot. Otherwise, the run would be resumed again and
/// again to start the next step.
#[tokio::test]
async fn parked_step_keeps_its_parallelism_slot() {
    let day = || Step::new("day", StepKind::Sleep(Duration::from_secs(24 * 3600).into()));
    let echo = || Step::function("echo", "echo", json!(1));
    let both = Parallel { max_parallelism: Some(1), ..Parallel::new([day(), echo()]) };
    let days = Loop::items(json!([1, 2]), [day()]).parallel(1);
    for block in [both.into_step("both"), days.into_step("days")] {
        let lab = Lab::new();
        let executor = lab.executor();
        let run = start(&executor, Definition::sequence("waits", [block])).await;
        let driven = tokio::time::timeout(Duration::from_secs(30), executor.drive(run)).await;
        let DurableEnd::Waiting(wait) = driven.expect("the run parks").unwrap() else {
            panic!("the run does not wait")
        };
        assert!(wait.wake_at.unwrap() > jiff::Timestamp::now());
        assert!(lab.performed.all().is_empty());
    }
}

fn gated() -> Arc<Definition> {
    let kind = WaitForEvent { event: "open".into(), on_timeout: OnTimeout::Continue, ..Default::default() };
    let gate = Step::new("gate", StepKind::WaitForEvent(kind)).with_timeout(Duration::from_secs(3600));
    Arc::new(Definition::sequence("waits", [gate]))
}

/// Set `RUNS=100000` to check the size; with fewer runs, only the behavior is checked.
#[tokio::test(flavor = "multi_thread")]
async fn parked_run_takes_at_most_half_a_kilobyte() {
    let runs: usize = std::env::var("RUNS").map_or(4_000, |text| text.parse().unwrap());
    let lab = Lab::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor = Executor::new(lab.home(), lab.engine().clock(clock)).parking(Parking::After(Duration::ZERO));
    let definition = gated();
    let (mut before, mut handles) = (0, Vec::with_capacity(runs));
    for number in 0..runs {
        // Do not count the first runs, since they allocate the memory that all runs share.
        if number == runs / 10 {
            until_parked(&executor, handles.len()).await;
            before = resident();
        }
        let input = WorkflowInput::new(json!({"n": number}));
        let run = executor.start(definition.clone(), input, StartOptions::default()).await.unwrap();
        handles.push(executor.spawn(run));
    }
    until_parked(&executor, runs).await;
    let each = resident().saturating_sub(before) / (runs - runs / 10) as u64;
    println!("{runs} parked runs: {each} bytes each");
    assert!(runs < 50_000 || each <= 512, "{each} bytes each");
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_runs_wake_in_another_executor() {
    const RUNS: usize = 200;
    let lab = Lab::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor =
        || Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO));
    let first = executor();
    let mut handles = Vec::new();
    for number in 0..RUNS {
        let input = WorkflowInput::new(json!({"n": number}));
        let run = first.start(gated(), input, StartOptions::default()).await.unwrap();
        handles.push(first.spawn(run));
    }
    until_parked(&first, RUNS).await;
    drop(first);
    for handle in handles {
        assert!(matches!(handle.wait().await, Ok(DurableEnd::Released)));
    }
    let query = RunQuery { statuses: vec![RunStatus::Waiting], limit: RUNS + 1, ..RunQuery::default() };
    let all = lab.home().runs(&query).await.unwrap();
    assert_eq!(all.len(), RUNS);
    let second = executor();
    let mut handles = Vec::new();
    for known in &all {
        handles.push(second.spawn(second.resume(known).await.unwrap()));
    }
    until_parked(&second, RUNS).await;
    let home = lab.home();
    for known in all.iter().step_by(2) {
        let payload = json!(known.id().to_string());
        home.post(known, &Message::Signal { name: "open".into(), payload }).await.unwrap();
    }
    let mut rest = Vec::new();
    for (number, (handle, known)) in handles.into_iter().zip(&all).enumerate() {
        if number % 2 == 1 {
            rest.push(handle);
            continue;
        }
        let DurableEnd::Finished(end) = handle.await.unwrap() else { panic!("the run did not finish") };
        assert_eq!(end.output["data"], json!(known.id().to_string()));
    }
    clock.advance(Duration::from_secs(3600));
    for handle in rest {
        let DurableEnd::Finished(end) = handle.await.unwrap() else { panic!("the run did not finish") };
        assert_eq!(end.output["timed_out"], true);
    }
}
