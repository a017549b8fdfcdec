//! Runs that wait for long, or for many events.

use std::time::Duration;

use llmspell_workflows_advanced::{DurableEnd, Executor, Message, Parking};
use llmspell_workflows_basic::{RunStatus, model::*};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;

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
