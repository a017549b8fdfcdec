//! Waiting for external events, and parked runs.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Engine, Finished, Run, RunOptions, RunStatus, WorkflowError, WorkflowInput,
    engine::{StepStatus, Wait},
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, hang, slow};

fn wait(id: &str, event: &str) -> Step {
    filtered(id, event, None)
}

fn filtered(id: &str, event: &str, filter: Option<&str>) -> Step {
    let filter = filter.map(str::to_owned);
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: event.to_owned(), filter, ..WaitForEvent::default() }))
}

fn start(engine: &Engine, steps: impl IntoIterator<Item = Step>) -> Arc<Run> {
    let plan = engine.prepare(Definition::sequence("waits", steps)).unwrap_or_else(|invalid| panic!("{invalid}"));
    engine.start(&plan, WorkflowInput::new(json!({"order": 7})), &RunOptions::default()).unwrap()
}

async fn finished(engine: &Engine, run: &Arc<Run>) -> Finished {
    match engine.drive(run).await {
        Driven::Done(finished) => *finished,
        other => panic!("the run did not end: {other:?}"),
    }
}

fn outputs(finished: &Finished, id: &str) -> Value {
    let found = finished.steps.iter().find(|record| record.path.id().unwrap().as_str() == id).unwrap();
    found.output.as_deref().cloned().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_only_the_wait_for_its_name() {
    let engine = Lab::new().engine().build();
    let both = Parallel::new([wait("paid", "paid-{{ order }}"), wait("sent", "sent")]).into_step("both");
    let run = start(&engine, [both, echo("after", json!("{{ steps.both.output }}"))]);
    let (finished, ()) = tokio::join!(finished(&engine, &run), async {
        run.until_waiting().await;
        run.signal("sent", json!({"by": "post"}));
        run.signal("paid", json!("another name"));
        run.until_waiting().await;
        run.signal("paid-7", json!(12));
    });
    let paid = json!({"name": "paid-7", "data": 12, "timed_out": false});
    let sent = json!({"name": "sent", "data": {"by": "post"}, "timed_out": false});
    assert_eq!((outputs(&finished, "paid"), outputs(&finished, "sent")), (paid, sent));
    assert_eq!(finished.status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn signals_to_a_run_reach_its_sub_workflows() {
    let engine = Lab::new().engine().build();
    let inner = Definition::sequence("inner", [wait("gate", "go"), echo("heard", json!("{{ gate.data }}"))]);
    let outer = Definition::sequence("outer", [Step::workflow("nested", "inner", json!(null))]).with_workflow(inner);
    let steps = [wait("first", "first"), Step::workflow("sub", "outer", json!(null)), wait("last", "go")];
    let plan = engine.prepare(Definition::sequence("waits", steps).with_workflow(outer)).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    // The sub-workflow does not exist yet.
    run.signal("go", json!("early"));
    let (finished, ()) = tokio::join!(finished(&engine, &run), async {
        run.until_waiting().await;
        run.signal("first", json!(null));
        run.until_active().await;
        run.until_waiting().await;
        run.signal("go", json!("late"));
    });
    assert_eq!((outputs(&finished, "sub"), &outputs(&finished, "last")["data"]), (json!("early"), &json!("late")));
}

#[tokio::test(start_paused = true)]
async fn each_signal_is_delivered_to_exactly_one_step() {
    let engine = Lab::new().engine().build();
    let each = Loop::new(LoopSource::Items(json!([1, 2, 3])), [wait("next", "next")]).into_step("each");
    let run = start(&engine, [each]);
    // The signals are sent before any step waits.
    for number in 1..=3 {
        run.signal("next", json!(number));
    }
    let finished = finished(&engine, &run).await;
    let taken = finished.steps.iter().filter(|record| record.is_leaf);
    let taken: Vec<_> = taken.map(|record| record.output.as_ref().unwrap()["data"].clone()).collect();
    assert_eq!(taken, [json!(1), json!(2), json!(3)]);
}

#[tokio::test(start_paused = true)]
async fn events_rejected_by_a_filter_stay_available_for_other_steps() {
    let engine = Lab::new().engine().build();
    let both = [filtered("large", "order", Some("event.data.total > 100")), wait("any", "order")];
    let run = start(&engine, [Parallel::new(both).into_step("both")]);
    run.signal("order", json!({"total": 5}));
    run.signal("order", json!({"total": 500}));
    let finished = finished(&engine, &run).await;
    assert_eq!(outputs(&finished, "large")["data"]["total"], 500);
    assert_eq!(outputs(&finished, "any")["data"]["total"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_times_out_fails_or_continues() {
    let engine = Lab::new().engine().build();
    let mut kind = WaitForEvent { event: "never".to_owned(), ..WaitForEvent::default() };
    let step = |kind: &WaitForEvent| {
        Step::new("wait", StepKind::WaitForEvent(kind.clone())).with_timeout(Duration::from_secs(3600))
    };
    let failed = engine.run(Definition::sequence("waits", [step(&kind)]), WorkflowInput::default()).await.unwrap();
    let error = failed.error.unwrap();
    assert_eq!((&*error.code, error.path.as_deref()), ("event_timeout", Some("/main/wait")));
    assert_eq!(error.message, "the event `never` did not arrive in time");
    kind.on_timeout = OnTimeout::Continue;
    let continued = engine.run(Definition::sequence("waits", [step(&kind)]), WorkflowInput::default()).await.unwrap();
    assert_eq!(*continued.output, json!({"name": "never", "data": null, "timed_out": true}));
    assert_eq!(continued.ended_at.duration_since(continued.started_at).as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_signal_source_parks() {
    let engine = Lab::new().engine().build();
    let ended = engine.run(Definition::sequence("waits", [wait("a", "never")]), WorkflowInput::default()).await;
    let Err(WorkflowError::Parked(wait)) = ended else { panic!("{ended:?}") };
    assert_eq!(wait, Wait { wake_at: None, inbox_after: Some(0) });
}

#[tokio::test(start_paused = true)]
async fn parking_runs_finish_their_activities_but_start_no_others() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    let branches = [
        Step::sequence("works", [slow("one", 1_000), slow("two", 1_000)]),
        Step::sequence(
            "sleeps",
            [Step::new("nap", StepKind::Sleep(Duration::from_secs(3600).into())), echo("awake", json!(1))],
        ),
        Step::sequence("waits", [wait("arrival", "never")]),
    ];
    let run = start(&engine, [Parallel::new(branches).into_step("all"), echo("after", json!(2))]);
    let (driven, ()) = tokio::join!(engine.drive(&run), async {
        while lab.live() == 0 {
            tokio::task::yield_now().await;
        }
        run.park();
    });
    let Driven::Parked(wait) = driven else { panic!("the run did not park") };
    assert_eq!(lab.started(), ["/main/all/works/one#1"]);
    let status = |id: &str| {
        run.steps().into_iter().find(|record| record.path.id().unwrap().as_str() == id).map(|record| record.status)
    };
    assert_eq!(status("one"), Some(StepStatus::Completed));
    assert_eq!([status("nap"), status("arrival"), status("two")], [Some(StepStatus::Waiting); 3]);
    // The step that has not started could start immediately, so the run can be woken at once.
    assert!(wait.wake_at.unwrap() <= run.now() && wait.inbox_after == Some(0));
}

#[tokio::test(start_paused = true)]
async fn until_waiting_resolves_once_all_branches_wait() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    let nap = |id: &str, seconds| Step::new(id, StepKind::Sleep(Duration::from_secs(seconds).into()));
    let inner = Parallel::new([nap("long", 600), slow("work", 60_000)]).into_step("inner");
    let timed = Step::sequence("timed", [nap("timed_out", 5_000)]).with_timeout(Duration::from_secs(300));
    let timed = timed.with_on_error(OnError::Continue);
    let run = start(&engine, [Parallel::new([inner, nap("short", 400), timed]).into_step("outer")]);
    let begun = run.now();
    let after = |seconds: i64| begun + jiff::SignedDuration::from_secs(seconds);
    let mut all_waited: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
    let (finished, ()) = tokio::join!(finished(&engine, &run), async {
        while all_waited.last().is_none_or(|(at, _)| *at < after(400)) {
            let next = run.until_waiting().await.next_wake();
            if all_waited.last().is_none_or(|(_, last)| *last != next) {
                all_waited.push((run.now(), next));
            }
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    });
    assert_eq!(finished.status, RunStatus::Completed);
    // The first entry is added only after the running activity has ended.
    assert_eq!(
        all_waited,
        [(after(60), Some(after(300))), (after(305), Some(after(400))), (after(403), Some(after(600)))]
    );
    assert_eq!(lab.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_run_ends_its_waits() {
    let engine = Lab::new().engine().build();
    let run = start(&engine, [Parallel::new([wait("arrival", "never"), hang("work")]).into_step("both")]);
    let (finished, ()) = tokio::join!(finished(&engine, &run), async {
        tokio::task::yield_now().await;
        run.cancel();
    });
    assert_eq!(finished.status, RunStatus::Cancelled);
}
