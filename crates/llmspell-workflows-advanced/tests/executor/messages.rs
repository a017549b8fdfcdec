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

/// Ends when the journal says that the run waits.
async fn waits(lab: &Lab, known: &KnownRun) {
    while lab.home().find(&known.id().to_string()).await.unwrap().status() != RunStatus::Waiting {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_a_run_at_work_in_another_executor() {
    let lab = Lab::new();
    let executor = lab.executor().parking(Parking::Never);
    let run = start(&executor, Definition::sequence("waits", [wait("a", "go"), wait("b", "go")])).await;
    let id = run.id();
    let in_memory = run.run().clone();
    let driven = tokio::spawn(async move { finished(&executor, run).await });
    in_memory.until_waiting().await;
    // Another home, as another process has it.
    let (home, known) = (lab.home(), lab.known(id).await);
    assert_eq!(known.status(), RunStatus::Waiting);
    assert_eq!(home.post(&known, &signal("go", json!(1))).await.unwrap(), Delivery::Told);
    assert_eq!(home.post(&known, &signal("go", json!(2))).await.unwrap(), Delivery::Told);
    assert_eq!(*driven.await.unwrap().output, json!({"name": "go", "data": 2, "timed_out": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lets_what_is_at_work_end_and_a_resume_goes_on() {
    let lab = Lab::new();
    let executor = lab.executor();
    let steps = [wait("gate", "open"), Step::function("after", "echo", json!("went on"))];
    let run = start(&executor, Definition::sequence("pauses", steps)).await;
    let id = run.id();
    let known = lab.known(id).await;
    let handle = executor.spawn(run);
    waits(&lab, &known).await;
    assert_eq!(lab.home().post(&known, &Message::Pause).await.unwrap(), Delivery::Told);
    assert!(matches!(handle.await.unwrap(), DurableEnd::Paused));
    // An earlier request to pause does not stop whoever goes on.
    lab.home().post(&known, &signal("open", json!(null))).await.unwrap();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("went on"));
    assert_eq!(lab.performed.all(), ["/main/after#1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_wherever_it_is() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("long", [wait("never", "never")])).await;
    let id = run.id();
    let known = lab.known(id).await;
    let handle = executor.spawn(run);
    waits(&lab, &known).await;
    lab.home().post(&known, &Message::Cancel).await.unwrap();
    let DurableEnd::Finished(end) = handle.await.unwrap() else { panic!("it has ended") };
    assert_eq!(end.status, RunStatus::Cancelled);
    let known = lab.known(id).await;
    assert_eq!(known.status(), RunStatus::Cancelled);
    assert!(matches!(lab.home().post(&known, &Message::Pause).await, Err(ExecutorError::Ended { .. })));
}

#[tokio::test]
async fn a_run_that_nobody_has_keeps_its_messages() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("waits", [wait("a", "go")])).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    drop(executor);
    let known = lab.home().find(&id.to_string()).await.unwrap();
    assert_eq!((known.status(), known.holder.as_ref()), (RunStatus::Waiting, None));
    assert_eq!(lab.home().post(&known, &signal("go", json!("later"))).await.unwrap(), Delivery::Kept);
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.output["data"], "later");
}

#[tokio::test]
async fn a_run_is_gone_on_with_by_one_executor_at_a_time() {
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
