//! Stuck steps: interrupted `at_most_once` steps, failed undos, and their resolution.

use std::time::Duration;

use llmspell_workflows_advanced::{DurableEnd, Executor, ExecutorError, Message, Resolution, RewindOptions, RunQuery};
use llmspell_workflows_basic::{
    RunStatus, StepError,
    activity::{Activities, function},
    model::*,
};
use serde_json::json;
use uuid::Uuid;

use crate::lab::{Lab, finished, start};

fn echo(id: &str, value: serde_json::Value) -> Step {
    Step::function(id, "echo", value)
}

/// An `at_most_once` step whose first execution never returns.
fn once(id: &str) -> Step {
    Step::function(id, "forever", json!(null)).at_most_once().with_timeout(Duration::from_millis(300))
}

async fn stuck(executor: &Executor, definition: Definition) -> (Uuid, Vec<(String, StepError)>) {
    let run = start(executor, definition).await;
    let id = run.id();
    match executor.drive(run).await.unwrap() {
        DurableEnd::Stuck(steps) => (id, steps),
        other => panic!("the run is not stuck: {other:?}"),
    }
}

#[tokio::test]
async fn interrupted_at_most_once_step_is_stuck_until_resolved() {
    for (resolution, status, output) in [
        (Resolution::Completed(json!("paid")), RunStatus::Completed, json!("paid!")),
        (Resolution::Failed, RunStatus::Failed, json!(null)),
    ] {
        let lab = Lab::new();
        let executor = lab.executor();
        let steps = [echo("before", json!(1)), once("pay"), echo("after", json!("{{ pay }}!"))];
        let (id, why) = stuck(&executor, Definition::sequence("pays", steps)).await;
        assert_eq!((&*why[0].0, &*why[0].1.code), ("/main/pay", "unknown_effect"));
        let known = lab.known(id).await;
        assert_eq!(known.status(), RunStatus::Stuck);
        drop(executor);
        // A new process does not know the outcome either.
        let executor = lab.executor();
        let run = executor.resume(&known).await.unwrap();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Stuck(_)));
        assert!(matches!(
            executor.resolve(&known, "before", resolution.clone()).await,
            Err(ExecutorError::NotStuck { .. })
        ));
        let run = executor.resolve(&known, "pay", resolution).await.unwrap();
        let end = finished(&executor, run).await;
        assert_eq!((end.status, (*end.output).clone()), (status, output));
        assert_eq!(lab.performed.counts()["/main/pay#1"], 1);
    }
}

#[tokio::test]
async fn rerun_of_a_stuck_step_has_a_new_idempotency_key() {
    let lab = Lab::new();
    let mut activities = Activities::new();
    activities.register(
        "function",
        "pay",
        function(|context| async move {
            let path = context.path().to_path();
            if path.segments().last().unwrap().generation > 1 {
                return Ok(json!(context.idempotency_key().to_owned()));
            }
            context.cancelled().await;
            Err(StepError::transient("stopped", "the step was stopped"))
        }),
    );
    let executor = Executor::new(lab.home(), lab.engine().activities(activities));
    let pay = Step::function("pay", "pay", json!(null)).at_most_once().with_timeout(Duration::from_millis(300));
    let (id, _) = stuck(&executor, Definition::sequence("pays", [pay])).await;
    let known = lab.known(id).await;
    let run = executor.resolve(&known, "/main/pay", Resolution::RunAgain).await.unwrap();
    let end = finished(&executor, run).await;
    assert!(end.output.as_str().unwrap().ends_with("/main/pay~2"), "{}", end.output);
}

#[tokio::test]
async fn stuck_branch_does_not_stop_other_branches() {
    let lab = Lab::new();
    let executor = lab.executor();
    let both = Parallel::new([once("pay"), echo("works", json!(1))]).into_step("both");
    let (id, _) = stuck(&executor, Definition::sequence("pays", [both])).await;
    let history = lab.home().history(&lab.known(id).await).await.unwrap();
    let status = |path: &str| history.steps.iter().find(|step| step.path == path).unwrap().status().as_str();
    assert_eq!((status("/main/both/pay"), status("/main/both/works")), ("stuck", "completed"));
}

/// A step whose undo fails, between two steps whose undos succeed.
fn half_undone() -> Definition {
    let undoable = |id: &str, undo: &str| {
        echo(id, json!(id)).with_compensation(Step::function("undo", undo, json!("{{ output }}")))
    };
    let fails = Step::function("breaks", "fail", json!(null));
    Definition::sequence("undone", [undoable("a", "echo"), undoable("b", "cannot"), undoable("c", "echo"), fails])
}

fn with_failures(lab: &Lab) -> Executor {
    let mut activities = Activities::new();
    for name in ["fail", "cannot"] {
        activities.register(
            "function",
            name,
            function(move |context| async move {
                let again = context.path().to_path().segments().last().unwrap().generation > 1;
                if again { Ok(json!(null)) } else { Err(StepError::configuration(name, "the step fails")) }
            }),
        );
    }
    Executor::new(lab.home(), lab.engine().activities(activities))
}

#[tokio::test]
async fn failed_undo_can_be_resolved() {
    for (resolution, status) in [
        (Resolution::Completed(json!("by hand")), RunStatus::Compensated),
        (Resolution::RunAgain, RunStatus::Compensated),
        (Resolution::Failed, RunStatus::Failed),
    ] {
        let lab = Lab::new();
        let executor = with_failures(&lab);
        let (id, why) = stuck(&executor, half_undone()).await;
        assert_eq!((&*why[0].0, &*why[0].1.code), ("/main/b/$undo", "cannot"));
        let known = lab.known(id).await;
        assert_eq!(known.status(), RunStatus::Stuck);
        drop(executor);
        let executor = with_failures(&lab);
        let run = executor.resolve(&known, "b/$undo", resolution.clone()).await.unwrap();
        let end = finished(&executor, run).await;
        assert_eq!(
            (end.status, &*end.error.as_ref().unwrap().code),
            (status, "fail"),
            "{resolution:?} {:?}",
            end.error
        );
        let counts = lab.performed.counts();
        assert_eq!((counts["/main/c/$undo#1"], counts["/main/a/$undo#1"]), (1, 1), "{resolution:?}");
        assert_eq!(lab.home().find(&known.id().to_string()).await.unwrap().status(), status);
        drop(executor);
        lab.home().delete(&[lab.known(id).await]).await.unwrap();
    }
}

/// Like [`half_undone`], but all steps except the one that fails are in a sub-workflow.
fn half_undone_child() -> Definition {
    let StepKind::Sequence(mut steps) = half_undone().body else { unreachable!() };
    let fails = (*steps.pop().unwrap()).clone();
    let child = Definition { body: StepKind::Sequence(steps), ..Definition::sequence("child", []) };
    let first = echo("first", json!(1)).with_compensation(echo("undo", json!(2)));
    let parent = Definition::sequence("parent", [first, Step::workflow("sub", "child", json!(null)), fails]);
    Definition { finally: vec![echo("tidy", json!(1)).into()], ..parent.with_workflow(child) }
}

#[tokio::test]
async fn failed_undo_in_a_sub_workflow_can_be_resolved() {
    for (resolution, status, of_child) in [
        (Resolution::Completed(json!("by hand")), RunStatus::Compensated, RunStatus::Compensated),
        (Resolution::RunAgain, RunStatus::Compensated, RunStatus::Compensated),
        (Resolution::Failed, RunStatus::Failed, RunStatus::Cancelled),
    ] {
        let lab = Lab::new();
        let executor = with_failures(&lab);
        let (id, why) = stuck(&executor, half_undone_child()).await;
        assert_eq!((&*why[0].0, &*why[0].1.code), ("/main/sub/main/b/$undo", "cannot"));
        assert_eq!(lab.performed.counts()["/main/$finally/tidy#1"], 1, "`finally` runs as in a run without children");
        let known = lab.known(id).await;
        let child =
            lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
        assert_eq!(child.status(), RunStatus::Stuck);
        drop(executor);
        let executor = with_failures(&lab);
        let run = executor.resolve(&known, "b/$undo", resolution.clone()).await.unwrap();
        let end = finished(&executor, run).await;
        assert_eq!((end.status, &*end.error.as_ref().unwrap().code), (status, "fail"), "{resolution:?}");
        let counts = lab.performed.counts();
        for undo in ["/main/a/$undo#1", "/main/c/$undo#1", "/main/first/$undo#1", "/main/$finally/tidy#1"] {
            assert_eq!(counts[undo], 1, "{undo}, {resolution:?}");
        }
        assert_eq!((lab.known(id).await.status(), lab.known(child.id()).await.status()), (status, of_child));
        drop(executor);
        lab.home().delete(&[lab.known(id).await]).await.unwrap();
    }
}

/// The effect of a step whose undo was given up still exists, so a retry keeps the step and repeats the undone ones.
#[tokio::test]
async fn retry_repeats_only_the_undone_steps_of_a_partly_undone_sub_workflow() {
    let undoable = |id: &str, undo: &str| echo(id, json!(id)).with_compensation(Step::function("undo", undo, json!(0)));
    let child = Definition::sequence("child", [undoable("kept", "cannot"), undoable("undone", "echo")]);
    let steps = [Step::workflow("sub", "child", json!(null)), Step::function("breaks", "fail", json!(null))];
    let lab = Lab::new();
    let executor = with_failures(&lab);
    let (id, _) = stuck(&executor, Definition::sequence("parent", steps).with_workflow(child)).await;
    let run = executor.resolve(&lab.known(id).await, "kept/$undo", Resolution::Failed).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    lab.performed.begin(None);
    let run = executor.retry(&lab.known(id).await, &RewindOptions::default()).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(lab.performed.all(), ["/main/undone~2#1"]);
    let child = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    assert_eq!(child.status(), RunStatus::Completed);
}

#[tokio::test]
async fn cancel_compensates_only_on_request() {
    for (message, status, undone) in
        [(Message::Cancel, RunStatus::Cancelled, 0), (Message::CancelAndCompensate, RunStatus::Compensated, 1)]
    {
        let lab = Lab::new();
        let executor = lab.executor();
        let wait =
            Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: "never".into(), ..Default::default() }));
        let undoable = echo("a", json!(1)).with_compensation(echo("undo", json!(2)));
        let run = start(&executor, Definition::sequence("waits", [undoable, wait])).await;
        let id = run.id();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
        let known = lab.known(id).await;
        drop(executor);
        lab.home().post(&known, &message).await.unwrap();
        let executor = lab.executor();
        let run = executor.resume(&known).await.unwrap();
        assert_eq!(finished(&executor, run).await.status, status);
        assert_eq!(lab.performed.counts().get("/main/a/$undo#1").copied().unwrap_or_default(), undone);
    }
}

#[tokio::test]
async fn fork_does_not_undo_steps_of_the_original_run() {
    let lab = Lab::new();
    let executor = lab.executor();
    let undoable = echo("a", json!(1)).with_compensation(echo("undo", json!(2)));
    let run = start(&executor, Definition::sequence("forks", [undoable, echo("b", json!(1))])).await;
    let id = run.id();
    finished(&executor, run).await;
    lab.performed.begin(Some(0));
    let again = llmspell_workflows_advanced::RewindOptions {
        from: Some("b".to_owned()),
        step_input: None,
        ..Default::default()
    };
    let fork = executor.fork(&lab.known(id).await, &again).await.unwrap();
    let end = finished(&executor, fork).await;
    assert_eq!((end.status, lab.performed.all()), (RunStatus::Failed, vec!["/main/b#1".to_owned()]));
}
