//! Runs that wait for long, or for many events.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_advanced::{
    DurableEnd, DurableRun, Executor, ExecutorError, Message, Parking, RunQuery, StartOptions,
};
use llmspell_workflows_basic::{RunStatus, WorkflowInput, model::*};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::lab::{Lab, start};

fn wait(id: &str, event: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_run_is_woken_by_each_signal_and_by_its_time() {
    let lab = Lab::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor = Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO));
    let week = Step::new("week", StepKind::Sleep(Duration::from_secs(7 * 24 * 3600).into()));
    let steps = [wait("one", "one"), week, wait("two", "two"), Step::function("end", "echo", json!("{{ two.data }}"))];
    let run = start(&executor, Definition::sequence("waits", steps)).await;
    let (id, known) = (run.id(), lab.known(&run));
    let driven = {
        let executor = executor.clone();
        tokio::spawn(async move { executor.finish(run).await })
    };
    for (name, data) in [("two", 2), ("one", 1)] {
        lab.home().post(&known, &Message::Signal { name: name.into(), payload: json!(data) }).unwrap();
    }
    // It has seen the first signal, and waits for the time.
    while lab.home().find(&id.to_string()).unwrap().summary.wake_at.is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    let DurableEnd::Finished(end) = driven.await.unwrap().unwrap() else { panic!("it has ended") };
    assert_eq!((*end.output).clone(), json!(2));
    assert_eq!(lab.home().find(&id.to_string()).unwrap().status(), RunStatus::Completed);
    assert!(end.ended_at.duration_since(end.started_at).as_hours() >= 7 * 24);
}

/// What this process holds in memory, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// Runs it in the background, parked while it waits.
pub(crate) fn parked(executor: &Executor, run: DurableRun) -> JoinHandle<Result<DurableEnd, ExecutorError>> {
    let executor = executor.clone();
    tokio::spawn(async move { executor.finish(run).await })
}

pub(crate) async fn until_all_are_parked(executor: &Executor) {
    while executor.in_memory() > 0 {
        tokio::task::yield_now().await;
    }
}

/// `RUNS=10000` for as many as the figure is about; a few hundred show the same.
#[tokio::test(flavor = "multi_thread")]
async fn parked_runs_cost_little_and_each_wakes_by_its_signal_or_its_time_also_in_another_process() {
    let runs: u64 = std::env::var("RUNS").map_or(200, |text| text.parse().unwrap());
    let lab = Lab::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor =
        || Executor::new(lab.home(), lab.engine().clock(clock.clone())).parking(Parking::After(Duration::ZERO));
    let first = executor();
    let kind = WaitForEvent { event: "open".into(), on_timeout: OnTimeout::Continue, ..Default::default() };
    let gate = Step::new("gate", StepKind::WaitForEvent(kind)).with_timeout(Duration::from_secs(3600));
    let definition = Arc::new(Definition::sequence("waits", [gate]));
    let (mut before, mut driven) = (0, Vec::new());
    for number in 0..runs {
        // The first ones pay for what all share.
        if number == runs / 10 {
            before = resident();
        }
        let input = WorkflowInput::new(json!({"n": number}));
        let run = first.start(definition.clone(), input, StartOptions::default()).await.unwrap();
        driven.push(parked(&first, run));
    }
    until_all_are_parked(&first).await;
    let each = resident().saturating_sub(before) / (runs - runs / 10);
    println!("{runs} parked runs: {each} bytes each");
    assert!(runs < 10_000 || each <= 2_000, "{each} bytes each");
    // What a process that is killed leaves behind.
    for driven in driven {
        driven.abort();
        let _ = driven.await;
    }
    drop(first);
    let query = RunQuery { statuses: vec![RunStatus::Waiting], limit: 10_000, ..RunQuery::default() };
    let all = lab.home().runs(&query).unwrap();
    assert_eq!(all.len() as u64, runs);
    let second = executor();
    let mut driven = Vec::new();
    for known in &all {
        driven.push(parked(&second, second.resume(known).await.unwrap()));
    }
    until_all_are_parked(&second).await;
    let home = lab.home();
    for known in all.iter().step_by(2) {
        let payload = json!(known.id().to_string());
        home.post(known, &Message::Signal { name: "open".into(), payload }).unwrap();
    }
    let mut rest = Vec::new();
    for (number, (driven, known)) in driven.into_iter().zip(&all).enumerate() {
        if number % 2 == 1 {
            rest.push(driven);
            continue;
        }
        let DurableEnd::Finished(end) = driven.await.unwrap().unwrap() else { panic!("it has ended") };
        assert_eq!(end.output["data"], json!(known.id().to_string()));
    }
    clock.advance(Duration::from_secs(3600));
    for driven in rest {
        let DurableEnd::Finished(end) = driven.await.unwrap().unwrap() else { panic!("it has ended") };
        assert_eq!(end.output["timed_out"], true);
    }
}
