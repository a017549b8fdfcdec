//! Corrections of sub-workflows.

use std::sync::Arc;

use llmspell_workflows_advanced::{Continuation, DurableEnd, ExecutorError, Message, RunQuery};
use llmspell_workflows_basic::{
    RunStatus,
    model::{Definition, Step, StepKind, SubWorkflow},
};
use serde_json::{Value, json};

use super::{echo, list, owned, retried, shown, wait, with};
use crate::lab::{Lab, finished, start};

#[tokio::test]
async fn failed_sub_workflow_continues_under_its_corrected_definition() {
    let outer = |first: &str, second: &str, input: &str| {
        let inner = Definition::sequence("inner", [echo("one", first), echo("two", second)]);
        let run = SubWorkflow { workflow: "inner".into(), input: json!({"x": input}), ..SubWorkflow::default() };
        list([echo("a", "1"), Step::new("sub", StepKind::Workflow(run)), echo("z", "26")]).with_workflow(inner)
    };
    let old = || outer("1", "2", "i");
    let (_, executed, _) = retried(old(), 2, with(outer("1", "two", "i"))).await;
    assert_eq!(executed, ["/main/two~2", "/main/z"]);
    // A completed step of the sub-workflow has changed.
    let (shown, executed, _) = retried(old(), 2, with(outer("one", "2", "i"))).await;
    assert_eq!(shown, ["/main/sub/main/one changed", "/main/sub/main/two requested"]);
    assert_eq!(executed, ["/main/one~2", "/main/two~2", "/main/z"]);
    // The sub-workflow has a different input, so it starts over.
    let (shown, executed, _) = retried(old(), 2, with(outer("1", "2", "j"))).await;
    assert_eq!(shown, ["/main/sub requested"]);
    assert_eq!(executed, ["/main/one", "/main/two", "/main/z"]);
    // The sub-workflow had completed.
    let (shown, executed, _) = retried(old(), 3, with(outer("1", "two", "i"))).await;
    assert_eq!(shown, ["/main/sub changed", "/main/z requested"]);
    assert_eq!(executed, ["/main/one", "/main/two", "/main/z~2"]);
}

/// Runs `old` so that execution number `fails` fails, and resumes the run with `new`, as if the
/// process had died before the step `sub` recorded the end of its sub-workflow. Returns the steps
/// that the preview lists, the executed steps, and the output.
async fn resumed_unnoticed(
    old: Definition,
    fails: Option<usize>,
    new: Definition,
) -> (Vec<String>, Vec<String>, Value) {
    let (first, lab) = (Lab::new(), Lab::new());
    let executor = first.executor();
    first.performed.begin(fails);
    let run = start(&executor, old).await;
    let id = run.id();
    finished(&executor, run).await;
    let mut document = first.home().export(&first.known(id).await).await.unwrap();
    let records = document["records"].as_array_mut().unwrap();
    let end = records.iter().position(|record| record["ended"]["path"] == "/main/sub").unwrap();
    records.truncate(end);
    let known = lab.home().import(&document).await.unwrap();
    let executor = lab.executor();
    let preview = executor.preview(&known, Continuation::Resume, &with(new.clone())).await.unwrap();
    let run = executor.resume_with(&known, Arc::new(new)).await.unwrap();
    let end = finished(&executor, run).await;
    assert_eq!(end.status, RunStatus::Completed, "{:?}", end.error);
    let performed = lab.performed.all().iter().map(|one| one.trim_end_matches("#1").to_owned()).collect();
    (shown(&preview.runs_again), performed, (*end.output).clone())
}

#[tokio::test]
async fn correction_also_applies_to_a_sub_workflow_whose_end_was_not_noticed() {
    let outer = |first: &str, second: &str| {
        let inner = Definition::sequence("inner", [echo("one", first), echo("two", second)]);
        let run = SubWorkflow { workflow: "inner".into(), ..SubWorkflow::default() };
        let last = Step::function("z", "echo", json!("{{ sub }}"));
        list([echo("a", "1"), Step::new("sub", StepKind::Workflow(run)), last]).with_workflow(inner)
    };
    // The sub-workflow failed: it is retried under its new definition.
    let (_, executed, output) = resumed_unnoticed(outer("1", "2"), Some(2), outer("1", "two")).await;
    assert_eq!((executed, output), (owned(&["/main/two~2", "/main/z"]), json!("two")));
    let (_, executed, output) = resumed_unnoticed(outer("1", "2"), Some(2), outer("one", "2")).await;
    assert_eq!((executed, output), (owned(&["/main/one~2", "/main/two~2", "/main/z"]), json!("2")));
    // The sub-workflow completed: its step runs again, with a new sub-workflow.
    let (shown, executed, output) = resumed_unnoticed(outer("1", "2"), None, outer("1", "two")).await;
    assert_eq!(shown, ["/main/sub requested"]);
    assert_eq!((executed, output), (owned(&["/main/one", "/main/two", "/main/z"]), json!("two")));
    let inserted = |at: usize| {
        let definition = outer("1", "2");
        let StepKind::Sequence(steps) = &definition.body else { panic!("a list") };
        let mut steps: Vec<_> = steps.to_vec();
        steps.insert(at, echo("new", "26").into());
        Definition { body: StepKind::Sequence(steps.into_iter().collect()), ..definition }
    };
    // Its step comes after a new step, so it also runs again.
    let (shown, executed, output) = resumed_unnoticed(outer("1", "2"), None, inserted(1)).await;
    assert_eq!(shown, ["/main/sub new /main/new"]);
    assert_eq!((executed, output), (owned(&["/main/new", "/main/one", "/main/two", "/main/z"]), json!("2")));
    // Neither the sub-workflow nor anything before it has changed.
    let (_, executed, _) = resumed_unnoticed(outer("1", "2"), None, inserted(3)).await;
    assert_eq!(executed, ["/main/z", "/main/new"]);
}

#[tokio::test]
async fn resuming_with_a_new_definition_keeps_the_waiting_sub_workflow() {
    let outer = |last: &str, before: &str| {
        let inner = Definition::sequence("inner", [wait("gate"), echo("two", last)]);
        let run = SubWorkflow { workflow: "inner".into(), ..SubWorkflow::default() };
        list([echo("a", before), Step::new("sub", StepKind::Workflow(run))]).with_workflow(inner)
    };
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, outer("2", "1")).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    let error = executor.resume_with(&known, Arc::new(outer("2", "one"))).await.unwrap_err();
    assert!(matches!(error, ExecutorError::CannotRunAgain { .. }), "{error}");
    let run = executor.resume_with(&known, Arc::new(outer("two", "1"))).await.unwrap();
    run.run().signal("go", json!(1));
    let children = lab.home().runs(&RunQuery::default()).await.unwrap();
    let child = children.iter().find(|run| run.summary.parent == Some(id)).unwrap();
    lab.home().post(child, &Message::Signal { name: "go".into(), payload: json!(1) }).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("two"));
}
