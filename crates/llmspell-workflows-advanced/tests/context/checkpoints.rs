//! Current and past states of runs, checkpoints and rollback.

use llmspell_workflows_advanced::{EnhancedExecutionContext, ExecutorError, Parking};
use llmspell_workflows_basic::{
    RunStatus, StepError,
    activity::{Activities, function},
    model::{Definition, Step},
};
use serde_json::json;

use crate::support::{
    Log, builder, clock, echo, elsewhere, finished, newest_run, put, sequence, start, wait_for, within_timeout,
};

/// A workflow that sets the state, waits, sets the state again, and fails once in its last step.
fn definition() -> Definition {
    sequence([
        put("one", 1),
        Step::sequence("block", [put("two", 2), echo("inside", json!("{{ state.k }}"))]),
        wait_for("wait", "go"),
        put("three", 3),
        Step::function("last", "mendable", json!("{{ state.k }}")),
    ])
}

/// Returns a context in which the activity `mendable` fails once, and a log of the executed attempts.
fn mendable() -> (EnhancedExecutionContext, Log) {
    let (log, fails) = (Log::default(), std::sync::atomic::AtomicBool::new(true));
    let mut activities = Activities::new();
    let mendable = function(move |context| {
        let fails = fails.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move {
            let input = context.input().clone();
            if fails { Err(StepError::configuration("boom", "the first attempt fails")) } else { Ok(input) }
        }
    });
    activities.register("function", "mendable", mendable);
    let engine = builder(&log, &clock()).activities(activities).build();
    (EnhancedExecutionContext::in_memory().with_engine(engine).with_parking(Parking::ForSignals), log)
}

#[tokio::test]
async fn rollback_restores_the_state_of_the_checkpoint() {
    let (context, log) = mendable();
    let executor = context.executor();
    let run = start(&executor, definition()).await;
    let id = run.id();
    within_timeout(executor.drive(run)).await.unwrap();
    let checkpoint = executor.checkpoint(id, "waits").await.unwrap();
    assert_eq!(checkpoint.state, json!({"k": 2}));

    drop(executor);
    let context = elsewhere(context);
    let executor = context.executor();
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    run.run().signal("go", json!("first"));
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    let changed = context.state_manager.changed_since(&newest_run(&context).await, "waits").await.unwrap();
    assert_eq!((changed.len(), &*changed[0].pointer(), &changed[0].after), (1, "/k", &Some(json!(3))));

    let run = executor.rollback(&newest_run(&context).await, "waits").await.unwrap();
    assert_eq!(context.state_manager.state(&newest_run(&context).await).await.unwrap().to_value(), json!({"k": 2}));
    run.run().signal("go", json!("second"));
    let finished = finished(&executor, run).await;
    assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &json!(3)));
    let performed = log.lock().unwrap().clone();
    let expected = ["/main/one#1", "/main/block/two#1", "/main/block/inside#1", "/main/three#1", "/main/three~2#1"];
    assert_eq!(performed, expected, "steps that ended before the checkpoint do not run again");
}

#[tokio::test]
async fn state_can_be_read_at_every_record() {
    let (context, _) = mendable();
    let executor = context.executor();
    let run = start(&executor, sequence([put("one", 1), put("two", 2)])).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = newest_run(&context).await;
    let records = context.state_manager.home().records(&known).await.unwrap().len() as u64;
    let mut states = Vec::new();
    for position in 0..=records {
        let state = context.state_manager.state_at(&known, position).await.unwrap();
        states.push(state.to_value()["k"].clone());
    }
    let mut seen = states.clone();
    seen.dedup();
    assert_eq!(json!(seen), json!([null, 1, 2]), "{states:?}");
    let error = context.state_manager.find_checkpoint(id, "none").await.unwrap_err();
    assert!(matches!(error, ExecutorError::UnknownCheckpoint { .. }), "{error}");
}

#[tokio::test]
async fn rejected_rollback_reports_the_reason() {
    let (context, _) = mendable();
    let executor = context.executor();
    let run = start(&executor, sequence([put("one", 1)])).await;
    let id = run.id();
    executor.checkpoint(id, "start").await.unwrap();
    finished(&executor, run).await;
    let error = executor.rollback(&newest_run(&context).await, "start").await.unwrap_err();
    assert!(matches!(error, ExecutorError::Ended { .. }), "{error}");

    let (context, _) = mendable();
    let executor = context.executor();
    let run = start(&executor, definition()).await;
    let id = run.id();
    within_timeout(executor.drive(run)).await.unwrap();
    executor.checkpoint(id, "now").await.unwrap();
    let error = executor.rollback(&newest_run(&context).await, "now").await.unwrap_err();
    assert!(matches!(error, ExecutorError::NothingSince { .. }), "{error}");
    // An owned run cannot be rolled back.
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    let error = executor.rollback(&newest_run(&context).await, "now").await.unwrap_err();
    assert!(matches!(error, ExecutorError::Driven { .. }), "{error}");
    drop(run);
}
