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
