//! Runs that are steps of others: recorded, found, retried and forked with what is around them.

use llmspell_workflows_advanced::{Again, DurableEnd, ExecutorError, KnownRun, Message, RunQuery};
use llmspell_workflows_basic::{RunStatus, model::*};
use serde_json::json;

use crate::lab::{Lab, finished, start};

fn echo(id: &str, value: serde_json::Value) -> Step {
    Step::function(id, "echo", value)
}

/// A loop in a branch, in a workflow that a step runs.
fn parent() -> Definition {
    let add = |id: &str, n: &str| Step::function(id, "add", json!({"key": "sum", "n": n}));
    let each = Loop::items(json!([10, 20, 30]), [add("sum", "{{ (state.sum || 0) + loop.item }}")]).into_step("each");
    let both = Parallel::new([Step::sequence("left", [each]), echo("right", json!("{{ start }}"))]).into_step("both");
    let child = Definition::sequence("child", [echo("begin", json!(1)), both, echo("total", json!("{{ state.sum }}"))]);
    let sub = Step::workflow("sub", "child", json!({"start": "{{ first }}"}));
    let steps = [echo("first", json!(7)), sub, echo("last", json!("{{ sub + 1000 }}"))];
    Definition::sequence("parent", steps).with_workflow(child)
}

#[tokio::test]
async fn a_child_is_a_run_of_its_own_with_a_link_to_the_one_around_it() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, parent()).await;
    let id = run.id();
    let end = finished(&executor, run).await;
    assert_eq!((end.error, &*end.output), (None, &json!(1063)));
    let children = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap();
    assert_eq!(children.len(), 1);
    let child = &children[0];
    assert_eq!(
        (child.status(), &*child.summary.workflow, child.id().get_version_num()),
        (RunStatus::Completed, "child", 8)
    );
    let history = lab.home().history(child).await.unwrap();
    assert_eq!(history.started.parent.unwrap().path, "/main/sub");
    let of_parent = lab.home().history(&lab.known(id).await).await.unwrap();
    assert!(of_parent.steps.iter().any(|step| step.child == Some(child.id())));
    assert!(matches!(executor.resume(child).await, Err(ExecutorError::Ended { .. } | ExecutorError::IsChild { .. })));
}

#[tokio::test]
async fn a_retry_of_the_run_lets_its_failed_child_go_on() {
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(None);
    let run = start(&executor, parent()).await;
    finished(&executor, run).await;
    let count = lab.performed.all().len();
    for number in 0..count {
        lab.performed.begin(Some(number));
        let run = start(&executor, parent()).await;
        let id = run.id();
        assert_eq!(finished(&executor, run).await.status, RunStatus::Failed, "{number}");
        let before = lab.performed.counts();
        let run = executor.retry(&lab.known(id).await, &Again::default()).await.unwrap();
        let end = finished(&executor, run).await;
        assert_eq!((end.error, &*end.output), (None, &json!(1063)), "{number}");
        let after = lab.performed.counts();
        for (effect, times) in &before {
            assert_eq!(after.get(effect), Some(times), "{effect} was performed again, {number}");
        }
        assert_eq!(lab.performed.all().len(), count + 1, "{number}");
    }
}

#[tokio::test]
async fn a_fork_from_a_step_in_a_loop_in_a_branch_in_a_child_forks_both() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, parent()).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let mut records = Vec::new();
    for run in lab.home().runs(&RunQuery::default()).await.unwrap() {
        records.push((run.id(), lab.home().records(&run).await.unwrap()));
    }
    lab.performed.begin(None);
    let again = Again {
        from: Some("/main/sub/main/both/left/each[1]/sum".to_owned()),
        step_input: Some(json!({"key": "sum", "n": 500})),
    };
    let fork = executor.fork(&known, &again).await.unwrap();
    let forked = fork.id();
    let end = finished(&executor, fork).await;
    assert_eq!((end.error, &*end.output), (None, &json!(501 + 31 + 1000)));
    let expected = ["/main/both/left/each[1]/sum#1", "/main/both/left/each[2]/sum#1", "/main/total#1", "/main/last#1"];
    assert_eq!(lab.performed.all(), expected);
    for (old, before) in records {
        let run = lab.home().find(&old.to_string()).await.unwrap();
        assert_eq!(lab.home().records(&run).await.unwrap(), before, "the old run {old} has changed");
    }
    let children = lab.home().runs(&RunQuery { parent: Some(forked), ..RunQuery::default() }).await.unwrap();
    assert_eq!(children.len(), 1);
    // The end of a path is enough where it is the only one.
    lab.performed.begin(None);
    let again = Again { from: Some("total".to_owned()), step_input: None };
    let fork = executor.fork(&known, &again).await.unwrap();
    assert_eq!(*finished(&executor, fork).await.output, json!(1063));
    assert_eq!(lab.performed.all(), ["/main/total#1", "/main/last#1"]);
}

fn wait(event: &str) -> Step {
    Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

#[tokio::test]
async fn a_child_that_waits_parks_with_its_parent_and_hears_its_own_signals() {
    let lab = Lab::new();
    let executor = lab.executor();
    let child =
        Definition::sequence("child", [echo("before", json!(1)), wait("go"), echo("after", json!("{{ wait.data }}"))]);
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null))]).with_workflow(child);
    let run = start(&executor, parent).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    drop(executor);
    let child = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    lab.home().post(&child, &Message::Signal { name: "go".into(), payload: json!("heard") }).await.unwrap();
    let executor = lab.executor();
    let is_child = executor.resume(&child).await.unwrap_err();
    assert!(is_child.to_string().contains("goes on with it"), "{is_child}");
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("heard"));
    assert_eq!(lab.performed.all(), ["/main/before#1", "/main/after#1"]);
}

#[tokio::test]
async fn a_child_that_a_failure_beside_it_cancelled_goes_on_when_the_run_is_retried() {
    let lab = Lab::new();
    let child = Definition::sequence("child", [echo("before", json!(1)), wait("go"), echo("after", json!(2))]);
    let beside = Step::sequence("beside", [wait("fail"), echo("fails", json!(3))]);
    let both = Parallel {
        error_mode: ErrorMode::FailFast,
        ..Parallel::new([Step::workflow("sub", "child", json!(null)), beside])
    };
    let parent = Definition::sequence("parent", [both.into_step("both")]).with_workflow(child);
    let executor = lab.executor();
    let run = start(&executor, parent).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    let child =
        async || lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    let post = async |to: &KnownRun, name: &str| {
        lab.home().post(to, &Message::Signal { name: name.into(), payload: json!(null) }).await.unwrap();
    };
    drop(executor);
    post(&known, "fail").await;
    lab.performed.begin(Some(0));
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    assert_eq!(child().await.status(), RunStatus::Cancelled);
    let cancelled = child().await.id();
    lab.performed.begin(None);
    let run = executor.retry(&lab.known(id).await, &Again::default()).await.unwrap();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    assert_eq!(child().await.id(), cancelled);
    drop(executor);
    post(&child().await, "go").await;
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(lab.performed.all(), ["/main/both/beside/fails~2#1", "/main/after#1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_child_cancels_the_run_around_it() {
    let lab = Lab::new();
    let executor = lab.executor().parking(llmspell_workflows_advanced::Parking::Never);
    let child = Definition::sequence("child", [wait("never")]);
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null)), echo("after", json!(1))]);
    let run = start(&executor, parent.with_workflow(child)).await;
    let (id, in_memory) = (run.id(), run.run().clone());
    let driven = tokio::spawn(async move { finished(&executor, run).await });
    in_memory.until_waiting().await;
    let child = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    lab.home().post(&child, &Message::Cancel).await.unwrap();
    assert_eq!(driven.await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(lab.home().find(&child.id().to_string()).await.unwrap().status(), RunStatus::Cancelled);
    assert_eq!(lab.performed.all().len(), 0);
}
