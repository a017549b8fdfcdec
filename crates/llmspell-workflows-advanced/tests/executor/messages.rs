//! Messages from other processes.

use llmspell_workflows_advanced::{Delivery, DurableEnd, ExecutorError, KnownRun, Message, Parking};
use llmspell_workflows_basic::{RunStatus, model::*};
use serde_json::json;

use crate::lab::{Lab, finished, start};

fn wait(id: &str, event: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

fn signal(name: &str, payload: serde_json::Value) -> Message {
    Message::Signal { name: name.into(), payload }
}

/// Waits until the journal shows that the run is waiting.
async fn until_waiting(lab: &Lab, known: &KnownRun) {
    while lab.home().find(&known.id().to_string()).await.unwrap().status() != RunStatus::Waiting {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_reaches_a_run_driven_by_another_executor() {
    let lab = Lab::new();
    let executor = lab.executor().parking(Parking::Never);
    let run = start(&executor, Definition::sequence("waits", [wait("a", "go"), wait("b", "go")])).await;
    let id = run.id();
    let in_memory = run.run().clone();
    let driven = tokio::spawn(async move { finished(&executor, run).await });
    in_memory.until_waiting().await;
    // Use another instance of the home, as another process would.
    let (home, known) = (lab.home(), lab.known(id).await);
    assert_eq!(known.status(), RunStatus::Waiting);
    assert_eq!(home.post(&known, &signal("go", json!(1))).await.unwrap(), Delivery::Received);
    assert_eq!(home.post(&known, &signal("go", json!(2))).await.unwrap(), Delivery::Received);
    assert_eq!(*driven.await.unwrap().output, json!({"name": "go", "data": 2, "timed_out": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_continues_a_paused_run() {
    let lab = Lab::new();
    let executor = lab.executor();
    let steps = [wait("gate", "open"), Step::function("after", "echo", json!("resumed"))];
    let run = start(&executor, Definition::sequence("pauses", steps)).await;
    let id = run.id();
    let known = lab.known(id).await;
    let handle = executor.spawn(run);
    until_waiting(&lab, &known).await;
    assert_eq!(lab.home().post(&known, &Message::Pause).await.unwrap(), Delivery::Received);
    assert!(matches!(handle.await.unwrap(), DurableEnd::Paused));
    // An earlier pause request does not affect the resumed run.
    lab.home().post(&known, &signal("open", json!(null))).await.unwrap();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("resumed"));
    assert_eq!(lab.performed.all(), ["/main/after#1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_message_ends_a_waiting_run() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("long", [wait("never", "never")])).await;
    let id = run.id();
    let known = lab.known(id).await;
    let handle = executor.spawn(run);
    until_waiting(&lab, &known).await;
    lab.home().post(&known, &Message::Cancel).await.unwrap();
    let DurableEnd::Finished(end) = handle.await.unwrap() else { panic!("the run did not finish") };
    assert_eq!(end.status, RunStatus::Cancelled);
    let known = lab.known(id).await;
    assert_eq!(known.status(), RunStatus::Cancelled);
    assert!(matches!(lab.home().post(&known, &Message::Pause).await, Err(ExecutorError::Ended { .. })));
}

#[tokio::test]
async fn message_to_an_unowned_run_is_delivered_on_resume() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("waits", [wait("a", "go")])).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    drop(executor);
    let known = lab.home().find(&id.to_string()).await.unwrap();
    assert_eq!((known.status(), known.holder.as_ref()), (RunStatus::Waiting, None));
    assert_eq!(lab.home().post(&known, &signal("go", json!("later"))).await.unwrap(), Delivery::Stored);
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.output["data"], "later");
}

#[tokio::test]
async fn only_one_executor_can_resume_a_run() {
    let lab = Lab::new();
    let (one, two) = (lab.executor(), lab.executor());
    let run = start(&one, Definition::sequence("waits", [wait("a", "go")])).await;
    let id = run.id();
    let known = lab.known(id).await;
    assert!(matches!(one.resume(&known).await, Err(ExecutorError::Driven { .. })));
    let held = two.resume(&known).await.unwrap_err();
    assert!(matches!(&held, ExecutorError::Held { .. }), "{held}");
    assert!(held.to_string().contains(&format!("process {}", std::process::id())), "{held}");
}

fn gated() -> Definition {
    let finally = vec![Step::function("tidy", "echo", json!("tidied")).into()];
    Definition { finally, ..Definition::sequence("gated", [wait("gate", "open")]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_a_paused_run_in_the_journal_of_a_live_process() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, gated()).await;
    let id = run.id();
    let known = lab.known(id).await;
    let handle = executor.spawn(run);
    until_waiting(&lab, &known).await;
    assert_eq!(lab.home().post(&known, &Message::Pause).await.unwrap(), Delivery::Received);
    assert!(matches!(handle.await.unwrap(), DurableEnd::Paused));
    // Another process cannot resume the run to cancel it.
    assert_eq!(lab.home().post(&lab.known(id).await, &Message::Cancel).await.unwrap(), Delivery::Received);
    while !lab.known(id).await.status().has_ended() {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.known(id).await.status(), RunStatus::Cancelled);
    assert_eq!(lab.performed.all(), ["/main/$finally/tidy#1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_revokes_an_earlier_pause_request() {
    let lab = Lab::new();
    for is_resumed in [false, true] {
        let executor = lab.executor().parking(Parking::Never);
        let run = start(&executor, gated()).await;
        let id = run.id();
        let in_memory = run.run().clone();
        let inbox = lab.home().stores().await.unwrap().inbox.clone();
        if is_resumed {
            drop(run);
            inbox.post(id, "pause", &Message::Pause).await.unwrap();
            inbox.post(id, "cancel", &Message::Cancel).await.unwrap();
            let run = executor.resume(&lab.known(id).await).await.unwrap();
            assert_eq!(finished(&executor, run).await.status, RunStatus::Cancelled);
        } else {
            let driven = tokio::spawn(async move { finished(&executor, run).await });
            in_memory.until_waiting().await;
            // The run reads both messages one after the other.
            inbox.post(id, "pause", &Message::Pause).await.unwrap();
            lab.home().post(&lab.known(id).await, &Message::Cancel).await.unwrap();
            assert_eq!(driven.await.unwrap().status, RunStatus::Cancelled);
        }
    }
    assert_eq!(lab.performed.all(), ["/main/$finally/tidy#1", "/main/$finally/tidy#1"]);
}

#[tokio::test]
async fn ended_run_is_not_reported_as_owned_by_the_holder_of_its_journal() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("ends", [Step::function("a", "echo", json!(1))])).await;
    let mut known = lab.known(run.id()).await;
    assert!(matches!(known.check_deletable(), Err(ExecutorError::NotEnded { .. })));
    // The run as seen between its end and its move to the archive.
    known.summary.status = RunStatus::Completed;
    let error = known.check_deletable().unwrap_err();
    assert!(matches!(&error, ExecutorError::NotArchived { .. }) && error.is_retryable(), "{error}");
    assert!(error.to_string().contains("has ended, but its records are still in the journal of"), "{error}");
}
