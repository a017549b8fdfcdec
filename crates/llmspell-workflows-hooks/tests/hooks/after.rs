//! Tests that the answers of hooks called after a step, a block or a run take effect.

use std::time::Duration;

use llmspell_workflows_basic::{
    RunStatus,
    engine::StepStatus,
    model::{ActivityName, Definition, Loop, Parallel, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    HOOK_ROUNDS_MAX, HookContext, HookDispatcher, Point, Registration,
    answer::{After, AfterIteration, HookRetry, Observe, OnError, OnRunError},
    hook_fn,
    point::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, code, echo, fail, fixed, output, seconds, with};

fn later(seconds: u64, attempts: u32) -> HookRetry {
    HookRetry { delay: Duration::from_secs(seconds), attempts }
}

/// Checks each answer of `After` at `point` in a run of `steps`.
///
/// After two retries, the third activity starts at a path that begins with `again`. `of` converts the output of the
/// step at the point into the run's output.
async fn check_after<P: Point<Answer = After> + Copy>(
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
    assert_eq!((output(&ran), seconds(&ran), ran.started.len()), (own, 10, 3), "{}", P::POINT);
    assert!(ran.started[2].starts_with(again), "{}: {:?}", P::POINT, ran.started);
    let ran = with(steps(), point, After::Cancel("stop".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled, "{}", P::POINT);
}

#[tokio::test(start_paused = true)]
async fn hook_answers_after_completion_are_applied() {
    let step = |kind: &'static str| move || vec![Step::activity("a", kind, "echo", json!("own"))];
    check_after(AfterStep, step("function"), "/main/a~3", |value| value).await;
    check_after(AfterWorkflowStage, step("function"), "/main/a~3", |value| value).await;
    check_after(AfterToolExecution, step("tool"), "/main/a~3", |value| value).await;
    check_after(AfterAgentExecution, step("persona-request"), "/main/a~3", |value| value).await;
    check_after(AfterWorkflowComplete, step("function"), "/main~3/a", |value| value).await;
    let each = || vec![Loop::items(json!([1]), [echo("i", json!("own"))]).into_step("each")];
    check_after(LoopEnd, each, "/main/each[0]~3/i", |value| value).await;
    let both = || vec![Parallel::new([echo("x", json!("own"))]).into_step("both")];
    check_after(ParallelJoin, both, "/main/both~3/x", |value| value).await;
    check_after(BranchEnd, both, "/main/both/x~3", |value| json!([value])).await;
}

#[tokio::test(start_paused = true)]
async fn hook_answers_after_an_iteration_are_applied() {
    let each = || [Loop::items(json!([1]), [echo("i", json!("own"))]).into_step("each")];
    for answer in [AfterIteration::ModifyOutput(json!("another")), AfterIteration::Replace(json!("another"))] {
        assert_eq!(output(&with(each(), IterationEnd, answer).await)["results"], json!(["another"]));
    }
    let change = Change::key("k", json!("set"));
    let ran = with(each(), IterationEnd, AfterIteration::ModifyState(vec![change.clone()])).await;
    assert_eq!(ran.finished.state_changes, [change]);
    let ran = with(each(), IterationEnd, AfterIteration::Cancel("stop".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
    assert_eq!(output(&with(each(), IterationEnd, AfterIteration::Continue).await)["results"], json!(["own"]));
}

/// Checks each answer of `OnError` at `point` for a step that fails.
async fn check_on_error<P: Point<Answer = OnError> + Copy>(point: P, kind: &str) {
    let fail = || [Step::activity("a", kind, "fail", json!("in"))];
    let ran = with(fail(), point, OnError::Continue).await;
    assert_eq!((code(&ran), ran.started.len()), ("boom", 1));
    assert_eq!(output(&with(fail(), point, OnError::Replace(json!("instead"))).await), "instead");
    let ran = with(fail(), point, OnError::Retry(later(5, 2))).await;
    assert_eq!((code(&ran), seconds(&ran)), ("boom", 10));
    assert_eq!(ran.started, ["/main/a#1", "/main/a~2#1", "/main/a~3#1"]);
    let flaky = [Step::activity("a", kind, "flaky", json!(null))];
    assert_eq!(output(&with(flaky, point, OnError::Retry(HookRetry::once())).await), 2);
    let ran = with(fail(), point, OnError::Redirect(ActivityName::new("function", "echo"))).await;
    assert_eq!((output(&ran), ran.started), (json!("in"), vec!["/main/a#1".into(), "/main/a~2#1".into()]));
    let ran = with(fail(), point, OnError::Skip("not needed".into())).await;
    assert_eq!(ran.finished.step("a").unwrap().status, StepStatus::Skipped);
    let ran = with(fail(), point, OnError::Cancel("stop".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn hook_answers_after_a_failed_step_are_applied() {
    check_on_error(StepError, "function").await;
    check_on_error(ToolError, "tool").await;
    check_on_error(AgentError, "persona-request").await;
}

#[tokio::test(start_paused = true)]
async fn hook_answers_after_a_failed_run_are_applied() {
    let flaky = || [Step::sequence("s", [fail("f")])];
    assert_eq!(code(&with(flaky(), WorkflowError, OnRunError::Continue).await), "boom");
    assert_eq!(output(&with(flaky(), WorkflowError, OnRunError::Replace(json!("instead"))).await), "instead");
    let ran = with(flaky(), WorkflowError, OnRunError::Retry(later(5, 1))).await;
    assert_eq!((code(&ran), seconds(&ran)), ("boom", 5));
    assert_eq!(ran.started, ["/main/s/f#1", "/main~2/s/f#1"]);
    let ran = with(flaky(), WorkflowError, OnRunError::Cancel("stop".into())).await;
    assert_eq!(ran.finished.status, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn workflow_cancelled_hooks_are_called_once_per_cancelled_run() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let note = hook_fn(move |context: HookContext| {
        sender.send(context.path()).unwrap();
        async { Ok(Observe::Continue) }
    });
    let cancel = fixed(AfterStep, After::Cancel("stop".into()));
    let hooks =
        HookDispatcher::builder().register(Registration::new("note").at(WorkflowCancelled, note)).register(cancel);
    let ran = Lab::new().run(Definition::sequence("test", [echo("a", json!(1)), echo("b", json!(1))]), hooks).await;
    assert_eq!((ran.finished.status, ran.started), (RunStatus::Cancelled, vec!["/main/a#1".to_owned()]));
    assert_eq!((receiver.recv().await.unwrap(), receiver.try_recv().is_err()), ("/main".into(), true));
}

#[tokio::test(start_paused = true)]
async fn hooks_cannot_make_a_step_run_again_forever() {
    let again = OnError::Redirect(ActivityName::new("function", "fail"));
    let ran = with([fail("a")], StepError, again).await;
    assert_eq!((code(&ran), ran.started.len() as u64), ("hook_rounds_max", HOOK_ROUNDS_MAX + 1));
}

#[tokio::test(start_paused = true)]
async fn outer_hooks_see_a_step_recovered_by_inner_hooks_as_completed() {
    let hooks = HookDispatcher::builder()
        .register(fixed(ToolError, OnError::Replace(json!("from the tool"))))
        .register(fixed(StepError, OnError::Replace(json!("from the step"))))
        .register(fixed(AfterWorkflowStage, After::ModifyState(vec![Change::key("stage", json!("completed"))])));
    let ran = Lab::new().run(Definition::sequence("test", [Step::tool("a", "fail", json!(null))]), hooks).await;
    assert_eq!(output(&ran), "from the tool");
    assert_eq!(ran.finished.state_changes, [Change::key("stage", json!("completed"))]);
}
