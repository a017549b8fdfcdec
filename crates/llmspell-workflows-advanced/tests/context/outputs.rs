//! The events, the state and the metrics in the output of a workflow.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_advanced::{
    AdvancedWorkflow, AdvancedWorkflowOutput, EnhancedExecutionContext, EnhancedWorkflow,
};
use llmspell_workflows_basic::{
    Clock, Engine, WorkflowInput,
    activity::{Activities, function},
    model::{Backoff, Definition, OnError, Parallel, Retry, Step},
};
use serde_json::json;
use tokio::sync::Barrier;

use crate::support::{Log, builder, clock, echo, put, sequence, within_timeout};

/// Runs `definition` on a clock that advances only when `work` runs, by 100 ms each time.
async fn run(definition: Definition) -> AdvancedWorkflowOutput {
    run_on(builder(&Log::default(), &clock()).build(), definition).await
}

async fn run_on(engine: Engine, definition: Definition) -> AdvancedWorkflowOutput {
    let context = EnhancedExecutionContext::in_memory().with_engine(engine);
    let workflow = Arc::new(EnhancedWorkflow::define(definition));
    within_timeout(workflow.execute_with_infrastructure(WorkflowInput::new(json!({"n": 3})), context)).await.unwrap()
}

fn work(id: &str) -> Step {
    Step::tool(id, "work", json!({}))
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

#[tokio::test]
async fn output_contains_the_events_of_the_journal_in_order() {
    let output = run(sequence([
        work("a"),
        echo("never", json!(1)).when("false"),
        Step::function("b", "flaky", json!(1)).with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate)),
        Step::function("c", "fail", json!(1)).with_on_error(OnError::Continue),
    ]))
    .await;
    let events: Vec<_> = output.execution_events.iter().map(|event| format!("{} {}", event.kind, event.path)).collect();
    let expected = [
        "run.started ",
        "step.started /main/a",
        "step.completed /main/a",
        "step.skipped /main/never",
        "step.started /main/b",
        "step.retrying /main/b",
        "step.completed /main/b",
        "step.started /main/c",
        "step.failed /main/c",
        "run.completed ",
    ];
    assert_eq!(events, expected);
    let ended = output.execution_events[2].timestamp;
    assert_eq!(ended.to_string(), "2026-01-01T00:00:00.1Z");
    let text = json!(output.execution_events[8]);
    assert_eq!((&text["type"], &text["data"]["failed"]["error"]["code"]), (&json!("step.failed"), &json!("boom")));
}

#[tokio::test]
async fn output_contains_the_final_state() {
    let output = run(sequence([put("a", 1), put("b", 2)])).await;
    let state = output.state_snapshot.unwrap();
    assert_eq!((state.to_value(), state.key("$input")), (json!({"k": 2}), Some(&json!({"n": 3}))));
    assert_eq!((output.session_id, output.similar_executions.len()), (None, 0));
}

#[tokio::test]
async fn metrics_cover_steps_attempts_and_errors_in_a_sequential_run() {
    let retried =
        Step::function("c", "flaky", json!(1)).with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate));
    let failing = Step::function("d", "fail", json!(1)).with_on_error(OnError::Continue);
    let metrics = run(sequence([work("a"), work("b"), retried, failing])).await.performance_metrics;
    assert_eq!(millis(metrics.execution_time), 200);
    let latencies: Vec<_> = metrics.step_latency.iter().map(|(path, time)| (path.as_str(), millis(*time))).collect();
    assert_eq!(latencies, [("/main/a", 100), ("/main/b", 100), ("/main/c", 0), ("/main/d", 0)]);
    assert!((metrics.parallel_efficiency - 1.0).abs() < 1e-9, "sequential steps: {}", metrics.parallel_efficiency);
    let calls = json!(metrics.resource_utilization.activity_calls);
    assert_eq!(calls, json!({"tool:work": 2, "function:flaky": 2, "function:fail": 1}));
    // Two of five attempts failed.
    assert!((metrics.error_rate.rate - 0.4).abs() < 1e-9, "{:?}", metrics.error_rate);
    assert_eq!(json!(metrics.error_rate.by_class), json!({"transient": 2}));
    assert_eq!(millis(metrics.recovery_time), 0, "the clock did not advance");
    assert!((metrics.throughput - 15.0).abs() < 1e-9, "3 leaves in 200 ms: {}", metrics.throughput);
    if cfg!(target_os = "linux") {
        let used = &metrics.resource_utilization;
        assert!(used.memory_bytes.unwrap() > 1_000_000 && used.memory_peak_bytes >= used.memory_bytes);
        assert_eq!(metrics.cost_efficiency, used.cpu_time.unwrap().checked_div(3));
    }
}

#[tokio::test]
async fn recovery_time_includes_failed_attempts() {
    let recovers =
        Step::tool("a", "recovers", json!(1)).with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate));
    let metrics = run(sequence([recovers, work("b")])).await.performance_metrics;
    assert_eq!((millis(metrics.recovery_time), millis(metrics.execution_time)), (200, 300));
}

#[tokio::test]
async fn parallel_branches_increase_the_parallel_efficiency() {
    let (time, meets) = (clock(), Arc::new(Barrier::new(4)));
    let mut activities = Activities::new();
    let (moved, before) = (time.clone(), time.now());
    // All four steps start, 100 ms pass, and all four steps end.
    let meet = function(move |_| {
        let (moved, meets) = (moved.clone(), meets.clone());
        async move {
            if meets.wait().await.is_leader() {
                moved.set(before + Duration::from_millis(100));
            }
            meets.wait().await;
            Ok(json!(1))
        }
    });
    activities.register("tool", "meet", meet);
    let engine = builder(&Log::default(), &time).activities(activities).build();
    let block = Parallel::new((0..4).map(|n| Step::tool(format!("m{n}"), "meet", json!({})))).into_step("block");
    let metrics = run_on(engine, sequence([block])).await.performance_metrics;
    assert!((metrics.parallel_efficiency - 4.0).abs() < 1e-9, "{}", metrics.parallel_efficiency);
    assert_eq!(metrics.resource_utilization.activity_calls["tool:meet"], 4);
}
