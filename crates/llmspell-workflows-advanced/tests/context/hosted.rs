//! The points that the executor comes to: hooks there are asked and obeyed.

use std::sync::{Arc, Mutex};

use llmspell_workflows_advanced::{DurableEnd, EnhancedExecutionContext, ExecutorError, Message, Parking};
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_hooks::{HookContext, HookError, Point, Registration, answer::Permit, hook_fn, point::*};
use serde_json::json;

use crate::support::{context, echo, engine, finished, post, put, sequence, soon, start, the_run, wait_for};

/// A context with a hook that forbids while `forbids` is set, and notes what it was told.
fn with_hook<P: Point<Answer = Permit>>(point: P, forbids: &Arc<Mutex<bool>>, told: &Told) -> EnhancedExecutionContext {
    let (forbids, told) = (forbids.clone(), told.clone());
    let hook = hook_fn(move |context: HookContext| {
        told.lock().unwrap().push(format!("{} {:?}", context.point(), context.input().unwrap()));
        let answer = if *forbids.lock().unwrap() { Permit::Cancel("not now".into()) } else { Permit::Continue };
        async move { Ok::<_, HookError>(answer) }
    });
    context().with_hooks(|hooks| hooks.register(Registration::new("guard").at(point, hook)))
}
type Told = Arc<Mutex<Vec<String>>>;

fn is_forbidden<T>(result: &Result<T, ExecutorError>) -> bool {
    matches!(result, Err(ExecutorError::Forbidden { reason, .. }) if reason == "not now")
}

#[tokio::test]
async fn pausing_can_be_forbidden() {
    let (forbids, told) = (Arc::new(Mutex::new(true)), Told::default());
    let context = with_hook(WorkflowPause, &forbids, &told);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    assert!(is_forbidden(&executor.pause(&run.control()).await));
    *forbids.lock().unwrap() = false;
    executor.pause(&run.control()).await.unwrap();
    assert!(matches!(soon(executor.drive(run)).await.unwrap(), DurableEnd::Paused));
    assert_eq!(told.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_message_to_pause_can_be_forbidden() {
    let (forbids, told) = (Arc::new(Mutex::new(true)), Told::default());
    let context = with_hook(WorkflowPause, &forbids, &told).with_parking(Parking::Never);
    let executor = context.executor();
    let run = start(&executor, sequence([wait_for("wait", "go"), echo("a", json!(1))])).await;
    let driving = tokio::spawn({
        let executor = executor.clone();
        async move { finished(&executor, run).await }
    });
    post(&context, Message::Pause).await;
    soon(async {
        while told.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    post(&context, Message::Signal { name: "go".into(), payload: json!(1) }).await;
    assert_eq!(driving.await.unwrap().status, RunStatus::Completed);
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn going_on_can_be_forbidden() {
    let (forbids, told) = (Arc::new(Mutex::new(true)), Told::default());
    let context = with_hook(WorkflowResume, &forbids, &told);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), echo("b", json!("{{ state.k }}"))])).await;
    run.control().pause();
    assert!(matches!(soon(executor.drive(run)).await.unwrap(), DurableEnd::Paused));
    let known = the_run(&context).await;
    assert!(is_forbidden(&executor.resume(&known).await));
    let other = EnhancedExecutionContext::new(context.state_manager.home().clone())
        .with_engine(engine())
        .with_hooks(|hooks| hooks.register(Registration::new("never").at(WorkflowResume, never())));
    assert!(is_forbidden(&other.executor().resume(&known).await), "asked before anything else is");
    *forbids.lock().unwrap() = false;
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!(1));
    assert_eq!(told.lock().unwrap().len(), 2);
}

fn never() -> impl llmspell_workflows_hooks::Hook<WorkflowResume> {
    hook_fn(|_| async { Ok(Permit::Cancel("not now".into())) })
}

#[tokio::test]
async fn checkpoints_can_be_forbidden() {
    let (forbids, told) = (Arc::new(Mutex::new(true)), Told::default());
    let context = with_hook(WorkflowCheckpoint, &forbids, &told);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1)])).await;
    assert!(is_forbidden(&executor.checkpoint(run.id(), "first").await));
    assert_eq!(context.state_manager.checkpoints(run.id()).await.unwrap(), []);
    *forbids.lock().unwrap() = false;
    executor.checkpoint(run.id(), "first").await.unwrap();
    assert_eq!(context.state_manager.checkpoints(run.id()).await.unwrap().len(), 1);
    assert!(told.lock().unwrap()[0].contains("first"));
}

#[tokio::test]
async fn going_back_can_be_forbidden() {
    let (forbids, told) = (Arc::new(Mutex::new(true)), Told::default());
    let context = with_hook(WorkflowRollback, &forbids, &told);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), echo("b", json!("{{ nothing.there }}"))])).await;
    executor.checkpoint(run.id(), "start").await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    assert!(is_forbidden(&executor.rollback(&the_run(&context).await, "start").await));
    assert_eq!(the_run(&context).await.status(), RunStatus::Failed);
    *forbids.lock().unwrap() = false;
    let run = executor.rollback(&the_run(&context).await, "start").await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
}

#[tokio::test]
async fn a_required_hook_that_fails_forbids() {
    let fails = hook_fn(|_| async { Err::<Permit, _>(HookError::new("no answer")) });
    let guard = Registration::new("guard").at(WorkflowCheckpoint, fails).required();
    let context = context().with_hooks(|hooks| hooks.register(guard));
    let run = start(&context.executor(), sequence([put("a", 1)])).await;
    let error = context.executor().checkpoint(run.id(), "first").await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}
