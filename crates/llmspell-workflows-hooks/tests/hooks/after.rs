//! What hooks answer after something has completed or failed.

use std::time::Duration;

use llmspell_workflows_basic::{
    RunStatus,
    engine::StepStatus,
    model::{ActivityName, Definition, Loop, Parallel, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    HOOK_ROUNDS_MAX, HookContext, HookDispatcher, Point, Registration,
    answer::{After, AfterIteration, Again, Observe, OnError, OnRunError},
    hook_fn,
    point::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, code, echo, fail, fixed, output, seconds, with};

fn later(seconds: u64, attempts: u32) -> Again {
    Again { delay: Duration::from_secs(seconds), attempts }
}

/// Each answer of `After`, at `point`, to `steps`, in which it stands at the one at `path`.
///
/// `of` makes the run's output of that of the thing that the point is about.
async fn after<P: Point<Answer = After> + Copy>(
    point: P,
    steps: impl Fn() -> Vec<Step>,
    again: &str,
    of: impl Fn(Value) -> Value,
) {
    let own = output(&with(steps(), point, After::Continue).await);
    for answer in [After::ModifyOutput(json!("another")), After::Replace(json!("another"))] {
        assert_eq!(output(&with(steps(), point, answer).await), of(json!("another")), "{}", P::POINT);
    }
    let change = Change::key("k", json!("set"));
    let ran = with(steps(), point, After::ModifyState(vec![change.clone()])).await;
    assert_eq!((output(&ran), ran.finished.state_changes), (own.clone(), vec![change]), "{}", P::POINT);
    let ran = with(steps(), point, After::Retry(later(5, 2))).await;
    assert_eq!((output(&ran), seconds(&ran), ran.begun.len()), (own, 10, 3), "{}", P::POINT);
    assert!(ran.begun[2].starts_with(again), "{}: {:?}", P::POINT, ran.begun);
    let ran = with(steps(), point, After::Cancel("no more".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled, "{}", P::POINT);
}

#[tokio::test(start_paused = true)]
async fn what_has_completed() {
    let step = |kind: &'static str| move || vec![Step::activity("a", kind, "echo", json!("own"))];
    after(AfterStep, step("function"), "/main/a~3", |value| value).await;
    after(AfterWorkflowStage, step("function"), "/main/a~3", |value| value).await;
    after(AfterToolExecution, step("tool"), "/main/a~3", |value| value).await;
    after(AfterAgentExecution, step("persona-request"), "/main/a~3", |value| value).await;
    after(AfterWorkflowComplete, step("function"), "/main~3/a", |value| value).await;
    let each = || vec![Loop::items(json!([1]), [echo("i", json!("own"))]).into_step("each")];
    after(LoopEnd, each, "/main/each[0]~3/i", |value| value).await;
    let both = || vec![Parallel::new([echo("x", json!("own"))]).into_step("both")];
    after(ParallelJoin, both, "/main/both~3/x", |value| value).await;
    after(BranchEnd, both, "/main/both/x~3", |value| json!([value])).await;
}

#[tokio::test(start_paused = true)]
async fn an_iteration_that_has_completed() {
    let each = || [Loop::items(json!([1]), [echo("i", json!("own"))]).into_step("each")];
    for answer in [AfterIteration::ModifyOutput(json!("another")), AfterIteration::Replace(json!("another"))] {
        assert_eq!(output(&with(each(), IterationEnd, answer).await)["results"], json!(["another"]));
    }
    let change = Change::key("k", json!("set"));
    let ran = with(each(), IterationEnd, AfterIteration::ModifyState(vec![change.clone()])).await;
    assert_eq!(ran.finished.state_changes, [change]);
    let ran = with(each(), IterationEnd, AfterIteration::Cancel("no more".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
    assert_eq!(output(&with(each(), IterationEnd, AfterIteration::Continue).await)["results"], json!(["own"]));
}

/// Each answer of `OnError`, at `point`, to a step that fails.
async fn failed<P: Point<Answer = OnError> + Copy>(point: P, kind: &str) {
    let fail = || [Step::activity("a", kind, "fail", json!("in"))];
    let ran = with(fail(), point, OnError::Continue).await;
    assert_eq!((code(&ran), ran.begun.len()), ("boom", 1));
    assert_eq!(output(&with(fail(), point, OnError::Replace(json!("instead"))).await), "instead");
    let ran = with(fail(), point, OnError::Retry(later(5, 2))).await;
    assert_eq!((code(&ran), seconds(&ran)), ("boom", 10));
    assert_eq!(ran.begun, ["/main/a#1", "/main/a~2#1", "/main/a~3#1"]);
    let flaky = [Step::activity("a", kind, "flaky", json!(null))];
    assert_eq!(output(&with(flaky, point, OnError::Retry(Again::once())).await), 2);
    let ran = with(fail(), point, OnError::Redirect(ActivityName::new("function", "echo"))).await;
    assert_eq!((output(&ran), ran.begun), (json!("in"), vec!["/main/a#1".into(), "/main/a~2#1".into()]));
    let ran = with(fail(), point, OnError::Skip("never mind".into())).await;
    assert_eq!(ran.finished.step("a").unwrap().status, StepStatus::Skipped);
    let ran = with(fail(), point, OnError::Cancel("no more".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_has_failed() {
    failed(StepError, "function").await;
    failed(ToolError, "tool").await;
    failed(AgentError, "persona-request").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_failed() {
    let flaky = || [Step::sequence("s", [fail("f")])];
    assert_eq!(code(&with(flaky(), WorkflowError, OnRunError::Continue).await), "boom");
    assert_eq!(output(&with(flaky(), WorkflowError, OnRunError::Replace(json!("instead"))).await), "instead");
    let ran = with(flaky(), WorkflowError, OnRunError::Retry(later(5, 1))).await;
    assert_eq!((code(&ran), seconds(&ran)), ("boom", 5));
    assert_eq!(ran.begun, ["/main/s/f#1", "/main~2/s/f#1"]);
    let ran = with(flaky(), WorkflowError, OnRunError::Cancel("no more".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let note = hook_fn(move |context: HookContext| {
        tell.send(context.path()).unwrap();
        async { Ok(Observe::Continue) }
    });
    let cancel = fixed(AfterStep, After::Cancel("no more".into()));
    let hooks =
        HookDispatcher::builder().register(Registration::new("note").at(WorkflowCancelled, note)).register(cancel);
    let ran = Lab::new().run(Definition::sequence("test", [echo("a", json!(1)), echo("b", json!(1))]), hooks).await;
    assert_eq!((ran.finished.status, ran.begun), (RunStatus::Cancelled, vec!["/main/a#1".to_owned()]));
    assert_eq!((told.recv().await.unwrap(), told.try_recv().is_err()), ("/main".into(), true));
}

#[tokio::test(start_paused = true)]
async fn hooks_cannot_have_a_step_entered_forever() {
    let again = OnError::Redirect(ActivityName::new("function", "fail"));
    let ran = with([fail("a")], StepError, again).await;
    assert_eq!((code(&ran), ran.begun.len() as u64), ("hook_rounds_max", HOOK_ROUNDS_MAX + 1));
}

#[tokio::test(start_paused = true)]
async fn inner_hooks_speak_first_and_a_recovered_step_has_completed_for_the_outer_ones() {
    let hooks = HookDispatcher::builder()
        .register(fixed(ToolError, OnError::Replace(json!("from the tool"))))
        .register(fixed(StepError, OnError::Replace(json!("from the step"))))
        .register(fixed(AfterWorkflowStage, After::ModifyState(vec![Change::key("stage", json!("completed"))])));
    let ran = Lab::new().run(Definition::sequence("test", [Step::tool("a", "fail", json!(null))]), hooks).await;
    assert_eq!(output(&ran), "from the tool");
    assert_eq!(ran.finished.state_changes, [Change::key("stage", json!("completed"))]);
}
