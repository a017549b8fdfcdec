//! Signals reach the steps that wait for them, whichever run of the family they were sent to.

use llmspell_workflows_advanced::{DurableEnd, Executor, ExecutorError, KnownRun, Message, RewindOptions, RunQuery};
use llmspell_workflows_basic::{RunStatus, model::*};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{Lab, finished, start};

fn wait(id: &str, event: &str, filter: Option<&str>) -> Step {
    let wait = WaitForEvent { event: event.into(), filter: filter.map(Into::into), ..Default::default() };
    Step::new(id, StepKind::WaitForEvent(wait))
}

fn echo(id: &str, value: &str) -> Step {
    Step::function(id, "echo", json!(value))
}

/// A parent workflow with the steps `parent`, whose `workflow` steps run sub-workflows nested
/// `depth` levels deep. The innermost sub-workflow has the steps `child`.
fn nested(parent: impl IntoIterator<Item = Step>, child: impl IntoIterator<Item = Step>, depth: usize) -> Definition {
    let mut inner = Definition::sequence("child0", child);
    for level in 1..depth {
        let sub = Step::workflow("sub", format!("child{}", level - 1), json!(null));
        inner = Definition::sequence(format!("child{level}"), [sub]).with_workflow(inner);
    }
    let name = inner.name.clone();
    let steps: Vec<Step> = parent.into_iter().collect();
    let with_name = |mut step: Step| {
        if let StepKind::Workflow(sub) = &mut step.kind {
            sub.workflow.clone_from(&name);
        }
        step
    };
    Definition::sequence("parent", steps.into_iter().map(with_name)).with_workflow(inner)
}

fn sub() -> Step {
    Step::workflow("sub", "child", json!(null))
}

async fn waits(executor: &Executor, run: llmspell_workflows_advanced::DurableRun) {
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
}

async fn send(lab: &Lab, to: &KnownRun, name: &str, data: Value) {
    lab.home().post(to, &Message::Signal { name: name.into(), payload: data }).await.unwrap();
}

/// Returns the runs of the family, outermost first.
async fn family(lab: &Lab, run: Uuid) -> Vec<KnownRun> {
    let mut runs = vec![lab.known(run).await];
    while let Some(last) = runs.last()
        && let Some(child) =
            lab.home().runs(&RunQuery { parent: Some(last.id()), ..RunQuery::default() }).await.unwrap().pop()
    {
        runs.push(child);
    }
    runs
}

/// Starts a run, waits until it waits, and drops its executor.
async fn parked(lab: &Lab, definition: Definition) -> Uuid {
    let executor = lab.executor();
    let run = start(&executor, definition).await;
    let id = run.id();
    waits(&executor, run).await;
    id
}

/// Starts the run, sends the signals in several processes, and returns how the run ends.
async fn after(definition: Definition, signals: &[(usize, &str, Value)]) -> (RunStatus, Value) {
    let lab = Lab::new();
    let id = parked(&lab, definition).await;
    for (to, name, data) in signals {
        send(&lab, &family(&lab, id).await[*to], name, data.clone()).await;
        let executor = lab.executor();
        let run = executor.resume(&lab.known(id).await).await.unwrap();
        if let DurableEnd::Finished(finished) = executor.drive(run).await.unwrap() {
            return (finished.status, (*finished.output).clone());
        }
    }
    (lab.known(id).await.status(), Value::Null)
}

#[tokio::test]
async fn signal_reaches_the_waiting_step_of_any_run_of_the_family() {
    for depth in 1..=3 {
        for to in 0..=depth {
            let child = [wait("wait", "go", None), echo("heard", "{{ wait.data }}")];
            let ended =
                after(nested([sub(), echo("last", "{{ sub }}")], child, depth), &[(to, "go", json!("hi"))]).await;
            assert_eq!(ended, (RunStatus::Completed, json!("hi")), "sent to run {to} of {depth}");
        }
    }
    // A step of the parent waits in parallel with the sub-workflow.
    let beside = [Step::workflow("left", "child0", json!(null)), wait("right", "go", None)];
    let parent = Definition::sequence("parent", [Parallel::new(beside).into_step("both")]);
    let definition = parent.with_workflow(Definition::sequence("child0", [wait("wait", "other", None)]));
    let ended = after(definition, &[(1, "go", json!(1)), (0, "other", json!(2))]).await;
    assert_eq!(ended.0, RunStatus::Completed);
}

#[tokio::test]
async fn signal_sent_before_the_sub_workflow_exists_reaches_it() {
    for depth in 1..=2 {
        let child = [wait("wait", "go", None), echo("heard", "{{ wait.data }}")];
        let parent = [wait("first", "first", None), sub(), echo("last", "{{ sub }}")];
        let signals = [(0, "go", json!("early")), (0, "first", json!(null))];
        let ended = after(nested(parent, child, depth), &signals).await;
        assert_eq!(ended, (RunStatus::Completed, json!("early")), "{depth}");
    }
}

#[tokio::test]
async fn signal_rejected_by_a_filter_stays_available_to_the_next_step() {
    let child = [wait("wait", "go", Some("event.data.n == 2")), echo("heard", "{{ wait.data.n }}")];
    let parent = [sub(), wait("second", "go", None), echo("last", "{{ sub }}{{ second.data.n }}")];
    let signals = [(0, "go", json!({"n": 1})), (0, "go", json!({"n": 2}))];
    let ended = after(nested(parent, child, 1), &signals).await;
    assert_eq!(ended, (RunStatus::Completed, json!("21")));
}

#[tokio::test]
async fn signal_is_received_once() {
    let child = || [wait("wait", "go", None), echo("heard", "{{ wait.data }}")];
    let parent = || [sub(), wait("second", "go", None), echo("last", "{{ sub }}-{{ second.data }}")];
    for depth in 1..=2 {
        let one = after(nested(parent(), child(), depth), &[(0, "go", json!(1)), (0, "unrelated", json!(null))]).await;
        assert_eq!(one, (RunStatus::Waiting, json!(null)), "{depth}");
        let two = after(nested(parent(), child(), depth), &[(0, "go", json!(1)), (0, "go", json!(2))]).await;
        assert_eq!(two, (RunStatus::Completed, json!("1-2")), "{depth}");
    }
}

#[tokio::test]
async fn parked_family_is_woken_by_a_signal_to_any_of_its_runs() {
    for to in 0..=2 {
        let lab = Lab::new();
        let executor = lab.executor();
        let child = [wait("wait", "go", None), echo("heard", "{{ wait.data }}")];
        let run = start(&executor, nested([sub(), echo("last", "{{ sub }}")], child, 2)).await;
        let id = run.id();
        let handle = executor.spawn(run);
        let home = lab.home();
        while home.waits(&lab.known(id).await).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        send(&lab, &family(&lab, id).await[to], "go", json!("awake")).await;
        match handle.wait().await.unwrap() {
            DurableEnd::Finished(finished) => assert_eq!(*finished.output, json!("awake"), "{to}"),
            other => panic!("the run did not finish: {other:?}"),
        }
    }
}

#[tokio::test]
async fn waiting_step_shows_a_stored_signal_of_an_enclosing_run() {
    let lab = Lab::new();
    let child = [wait("wait", "go", Some("event.data.ok")), echo("heard", "x")];
    let id = parked(&lab, nested([sub()], child, 2)).await;
    let shown = async || lab.home().waits(&lab.known(id).await).await.unwrap().remove(0);
    assert!(!shown().await.has_arrived);
    send(&lab, &lab.known(id).await, "go", json!({"ok": false})).await;
    let wait = shown().await;
    assert_eq!((wait.has_arrived, wait.filter.unwrap().not_accepted.len()), (false, 1));
    send(&lab, &lab.known(id).await, "go", json!({"ok": true})).await;
    assert!(shown().await.has_arrived);
    let executor = lab.executor();
    let run = executor.resume(&lab.known(id).await).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
}

/// Without the store, the numbers of messages begin again. The run has already received signals with these numbers.
#[tokio::test]
async fn signals_sent_after_the_store_was_lost_are_received() {
    for lost in ["removed", "replaced by an older copy"] {
        for depth in 0..=1 {
            let lab = Lab::new();
            let waits_thrice = || ["one", "two", "three"].map(|id| wait(id, "go", None));
            let definition = match depth {
                0 => Definition::sequence("parent", waits_thrice()),
                _ => nested([sub()], waits_thrice(), 1),
            };
            let id = parked(&lab, definition).await;
            let store = lab.folder.path().join("store.db");
            let resume = async || {
                let executor = lab.executor();
                let run = executor.resume(&lab.known(id).await).await.unwrap();
                executor.drive(run).await.unwrap()
            };
            for number in 1..=2 {
                send(&lab, &lab.known(id).await, "go", json!(number)).await;
                assert!(matches!(resume().await, DurableEnd::Waiting(_)));
                if number == 1 && lost != "removed" {
                    std::fs::copy(&store, lab.folder.path().join("older.db")).unwrap();
                }
            }
            for suffix in ["", "-wal", "-shm", ".created"] {
                let _ = std::fs::remove_file(lab.folder.path().join(format!("store.db{suffix}")));
            }
            if lost != "removed" {
                std::fs::copy(lab.folder.path().join("older.db"), &store).unwrap();
            }
            send(&lab, &lab.known(id).await, "go", json!(3)).await;
            match resume().await {
                DurableEnd::Finished(finished) => assert_eq!(finished.status, RunStatus::Completed),
                other => panic!("{lost}, depth {depth}: {other:?}"),
            }
        }
    }
}

/// A signal to one sub-workflow is never received by its sibling, even if the sibling waits and the other does not yet.
#[tokio::test]
async fn signal_to_a_sub_workflow_is_not_received_by_its_sibling() {
    let kid = |name: &str, event: &str| {
        Definition::sequence(name, [wait("first", event, None), wait("go", "go", None), echo("heard", "{{ go.data }}")])
    };
    let both = [Step::workflow("a", "ready", json!(null)), Step::workflow("b", "late", json!(null))];
    let steps = [Parallel::new(both).into_step("both"), echo("last", "{{ both[0] }}-{{ both[1] }}")];
    let definition =
        Definition::sequence("parent", steps).with_workflow(kid("ready", "now")).with_workflow(kid("late", "later"));
    let lab = Lab::new();
    let id = parked(&lab, definition).await;
    let child = async |name: &str| {
        let mut children = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap();
        children.retain(|child| child.summary.workflow == name);
        children.remove(0)
    };
    let resume = async || {
        let executor = lab.executor();
        let run = executor.resume(&lab.known(id).await).await.unwrap();
        executor.drive(run).await.unwrap()
    };
    send(&lab, &lab.known(id).await, "now", json!(null)).await;
    assert!(matches!(resume().await, DurableEnd::Waiting(_)));
    // Only `ready` waits for `go`, and the signal is for `late`.
    send(&lab, &child("late").await, "go", json!("late")).await;
    assert!(matches!(resume().await, DurableEnd::Waiting(_)));
    assert_eq!(child("ready").await.status(), RunStatus::Waiting);
    send(&lab, &lab.known(id).await, "later", json!(null)).await;
    assert!(matches!(resume().await, DurableEnd::Waiting(_)));
    send(&lab, &lab.known(id).await, "go", json!("ready")).await;
    match resume().await {
        DurableEnd::Finished(finished) => assert_eq!(*finished.output, json!("ready-late")),
        other => panic!("the run did not finish: {other:?}"),
    }
}

#[tokio::test]
async fn signal_awaited_by_several_sub_workflows_is_refused_with_their_ids() {
    let lab = Lab::new();
    let each = Loop::items(json!([1, 2]), [Step::workflow("sub", "kid", json!(null))]).parallel(2).into_step("each");
    let kid = Definition::sequence("kid", [wait("wait", "go", None)]);
    let id = parked(&lab, Definition::sequence("parent", [each]).with_workflow(kid)).await;
    let signal = Message::Signal { name: "go".into(), payload: json!(1) };
    let refused = lab.home().post(&lab.known(id).await, &signal).await.unwrap_err();
    let ExecutorError::AmbiguousSignal { candidates, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((refused.code(), candidates.len()), ("ambiguous_signal", 2));
    for candidate in candidates {
        lab.home().post(&lab.home().find(candidate).await.unwrap(), &signal).await.unwrap();
    }
    let executor = lab.executor();
    let run = executor.resume(&lab.known(id).await).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
}

/// A retry inside of a sub-workflow keeps the signals that the sub-workflow has received.
#[tokio::test]
async fn signal_received_before_a_retry_is_not_delivered_again() {
    let kid = |name: &str| Definition::sequence(name, [wait("go", "go", None), echo("heard", "{{ go.data }}")]);
    let both =
        [Step::workflow("a", "one", json!(null)), Step::workflow("b", "two", json!(null)), echo("last", "{{ b }}")];
    let definition = Definition::sequence("parent", both).with_workflow(kid("one")).with_workflow(kid("two"));
    for from in ["a/main/heard", "b/main/heard", "last"] {
        let lab = Lab::new();
        let id = parked(&lab, definition.clone()).await;
        // The third function call fails, after both sub-workflows.
        lab.performed.begin(Some(2));
        for number in 1..=2 {
            send(&lab, &lab.known(id).await, "go", json!(number)).await;
            let executor = lab.executor();
            let run = executor.resume(&lab.known(id).await).await.unwrap();
            executor.drive(run).await.unwrap();
        }
        assert_eq!(lab.known(id).await.status(), RunStatus::Failed);
        let executor = lab.executor();
        let again = RewindOptions { from: Some(from.to_owned()), ..RewindOptions::default() };
        let run = executor.retry(&lab.known(id).await, &again).await.unwrap();
        let end = executor.drive(run).await.unwrap();
        // After a retry inside `a`, the new run of `b` waits for a signal of its own.
        assert_eq!(matches!(end, DurableEnd::Waiting(_)), from.starts_with('a'), "{from}: {end:?}");
    }
}
