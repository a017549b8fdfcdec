//! Hooks at the points that the executor fires: pause, resume, checkpoint and rollback.

use std::sync::{Arc, Mutex};

use llmspell_workflows_advanced::{DurableEnd, EnhancedExecutionContext, ExecutorError, Message, Parking};
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_hooks::{HookContext, HookError, Point, Registration, answer::Permit, hook_fn, point::*};
use serde_json::json;

use crate::support::{
    context, echo, engine, finished, newest_run, post, put, sequence, start, wait_for, within_timeout,
};

/// Returns a context with a hook that logs its calls and answers "forbid" while `forbids` is set.
fn with_hook<P: Point<Answer = Permit>>(
    point: P,
    forbids: &Arc<Mutex<bool>>,
    calls: &HookLog,
) -> EnhancedExecutionContext {
    let (forbids, calls) = (forbids.clone(), calls.clone());
    let hook = hook_fn(move |context: HookContext| {
        calls.lock().unwrap().push(format!("{} {:?}", context.point(), context.input().unwrap()));
        let answer = if *forbids.lock().unwrap() { Permit::Cancel("not now".into()) } else { Permit::Continue };
        async move { Ok::<_, HookError>(answer) }
    });
    context().with_hooks(|hooks| hooks.register(Registration::new("guard").at(point, hook)))
}

/// The calls of a hook, as `POINT INPUT`.
type HookLog = Arc<Mutex<Vec<String>>>;

fn is_forbidden<T>(result: &Result<T, ExecutorError>) -> bool {
    matches!(result, Err(ExecutorError::Forbidden { reason, .. }) if reason == "not now")
}

#[tokio::test]
async fn hook_can_forbid_a_pause() {
    let (forbids, calls) = (Arc::new(Mutex::new(true)), HookLog::default());
    let context = with_hook(WorkflowPause, &forbids, &calls);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    assert!(is_forbidden(&executor.pause(&run.control()).await));
    *forbids.lock().unwrap() = false;
    executor.pause(&run.control()).await.unwrap();
    assert!(matches!(within_timeout(executor.drive(run)).await.unwrap(), DurableEnd::Paused));
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn hook_can_forbid_a_pause_message() {
    let (forbids, calls) = (Arc::new(Mutex::new(true)), HookLog::default());
    let context = with_hook(WorkflowPause, &forbids, &calls).with_parking(Parking::Never);
    let executor = context.executor();
    let run = start(&executor, sequence([wait_for("wait", "go"), echo("a", json!(1))])).await;
    let driving = tokio::spawn({
        let executor = executor.clone();
        async move { finished(&executor, run).await }
    });
    post(&context, Message::Pause).await;
    within_timeout(async {
        while calls.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    post(&context, Message::Signal { name: "go".into(), payload: json!(1) }).await;
    assert_eq!(driving.await.unwrap().status, RunStatus::Completed);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn hook_can_forbid_a_resume() {
    let (forbids, calls) = (Arc::new(Mutex::new(true)), HookLog::default());
    let context = with_hook(WorkflowResume, &forbids, &calls);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), echo("b", json!("{{ state.k }}"))])).await;
    run.control().pause();
    assert!(matches!(within_timeout(executor.drive(run)).await.unwrap(), DurableEnd::Paused));
    let known = newest_run(&context).await;
    assert!(is_forbidden(&executor.resume(&known).await));
    let other = EnhancedExecutionContext::new(context.state_manager.home().clone())
        .with_engine(engine())
        .with_hooks(|hooks| hooks.register(Registration::new("never").at(WorkflowResume, never())));
    assert!(is_forbidden(&other.executor().resume(&known).await), "the hook is asked before the run is leased");
    *forbids.lock().unwrap() = false;
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!(1));
    assert_eq!(calls.lock().unwrap().len(), 2);
}

fn never() -> impl llmspell_workflows_hooks::Hook<WorkflowResume> {
    hook_fn(|_| async { Ok(Permit::Cancel("not now".into())) })
}

#[tokio::test]
async fn hook_can_forbid_a_checkpoint() {
    let (forbids, calls) = (Arc::new(Mutex::new(true)), HookLog::default());
    let context = with_hook(WorkflowCheckpoint, &forbids, &calls);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1)])).await;
    assert!(is_forbidden(&executor.checkpoint(run.id(), "first").await));
    assert_eq!(context.state_manager.checkpoints(run.id()).await.unwrap(), []);
    *forbids.lock().unwrap() = false;
    executor.checkpoint(run.id(), "first").await.unwrap();
    assert_eq!(context.state_manager.checkpoints(run.id()).await.unwrap().len(), 1);
    assert!(calls.lock().unwrap()[0].contains("first"));
}

#[tokio::test]
async fn hook_can_forbid_a_rollback() {
    let (forbids, calls) = (Arc::new(Mutex::new(true)), HookLog::default());
    let context = with_hook(WorkflowRollback, &forbids, &calls);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), echo("b", json!("{{ nothing.there }}"))])).await;
    executor.checkpoint(run.id(), "start").await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    assert!(is_forbidden(&executor.rollback(&newest_run(&context).await, "start").await));
    assert_eq!(newest_run(&context).await.status(), RunStatus::Failed);
    *forbids.lock().unwrap() = false;
    let run = executor.rollback(&newest_run(&context).await, "start").await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
}

#[tokio::test]
async fn failing_required_hook_forbids_the_operation() {
    let fails = hook_fn(|_| async { Err::<Permit, _>(HookError::new("no answer")) });
    let guard = Registration::new("guard").at(WorkflowCheckpoint, fails).required();
    let context = context().with_hooks(|hooks| hooks.register(guard));
    let run = start(&context.executor(), sequence([put("a", 1)])).await;
    let error = context.executor().checkpoint(run.id(), "first").await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}
