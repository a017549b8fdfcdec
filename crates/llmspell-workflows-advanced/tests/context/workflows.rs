//! Basic workflows wrapped as enhanced workflows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    AdvancedError, AdvancedWorkflow, DurableEnd, EnhancedExecutionContext, EnhancedWorkflow, ExecutorError, Parking,
    RewindOptions,
};
use llmspell_workflows_basic::{
    AggregationStrategy, BasicWorkflow, BranchResult, ExecutionContext, ParallelWorkflow, SequentialWorkflow,
    WorkflowError, WorkflowInput, WorkflowOutput, WorkflowRegistry, activity::function,
};
use serde_json::json;

use crate::support::{context, elsewhere, engine, newest_run, until_free, within_timeout};

/// A code-first workflow that counts its executions and hangs after the first step of its first
/// execution.
struct Code {
    executions: AtomicU32,
    hangs: AtomicU32,
}

#[async_trait]
impl BasicWorkflow for Code {
    fn name(&self) -> &str {
        "code"
    }

    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        self.executions.fetch_add(1, Ordering::SeqCst);
        let double = function(|call| async move { Ok(json!(call.input().as_i64().unwrap_or(0) * 2)) });
        let n = context.step("double", input.initial_data, double).await?;
        if self.hangs.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::future::pending::<()>().await;
        }
        let again = function(|call| async move { Ok(json!(call.input().as_i64().unwrap_or(0) + 1)) });
        Ok(WorkflowOutput::of(context.step("plus", n, again).await?))
    }
}

#[tokio::test]
async fn code_first_workflow_resumes_where_it_stopped() {
    let code = Arc::new(Code { executions: AtomicU32::new(0), hangs: AtomicU32::new(1) });
    let workflow: Arc<dyn AdvancedWorkflow> = Arc::new(EnhancedWorkflow::shared(code.clone()));
    let context = context().with_parking(Parking::Never);
    let running = tokio::spawn({
        let (workflow, context) = (workflow.clone(), context.clone());
        async move { context.execute(workflow, WorkflowInput::new(20)).await }
    });
    within_timeout(async {
        while code.hangs.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Dropping the future does not stop the run, so shut the executor down.
    running.abort();
    running.await.unwrap_err();
    within_timeout(context.executor().shut_down(Duration::ZERO)).await;
    let context = elsewhere(context);
    until_free(&context).await;
    let error = context.executor().resume(&newest_run(&context).await).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Invalid(_)) && error.to_string().contains("unknown code `code`"), "{error}");
    let output = context.resume(workflow, &newest_run(&context).await).await.unwrap();
    assert_eq!(output.basic_output.final_result, json!(41));
    assert_eq!(code.executions.load(Ordering::SeqCst), 2, "the code runs twice");
    let kinds: Vec<_> = output.execution_events.iter().map(|event| format!("{} {}", event.kind, event.path)).collect();
    let doubled = kinds.iter().filter(|event| *event == "step.completed /main/double").count();
    assert_eq!(doubled, 1, "{kinds:?}");
}

#[tokio::test]
async fn workflows_from_a_registry_run_with_their_closures() {
    let one = |id: &str| SequentialWorkflow::builder(id).add_step(id, "echo", json!("{{ n }}")).build().unwrap();
    let sequential = SequentialWorkflow::builder("one").add_step("a", "echo", json!("{{ n }}")).build().unwrap();
    let aggregate = AggregationStrategy::Custom(Box::new(|results| Ok(json!(results.len()))));
    let parallel = ParallelWorkflow::builder("many")
        .add_branch("x", Box::new(one("x")))
        .add_branch("y", Box::new(one("y")))
        .with_aggregation(aggregate)
        .build()
        .unwrap();
    let mut registry = WorkflowRegistry::new();
    registry.register(Arc::new(sequential));
    registry.register(Arc::new(parallel));
    for (name, expected) in [("one", json!(5)), ("many", json!(2))] {
        let basic = registry.get(name).unwrap().clone();
        let input = WorkflowInput::new(json!({"n": 5}));
        let in_memory = basic.execute_basic(input.clone(), &ExecutionContext::new(engine())).await.unwrap();
        let workflow = Arc::new(EnhancedWorkflow::shared(basic));
        let durable = workflow.execute_with_infrastructure(input, context()).await.unwrap();
        assert_eq!((&durable.basic_output.final_result, &in_memory.final_result), (&expected, &expected), "{name}");
        assert_eq!(durable.basic_output.execution_path, in_memory.execution_path, "{name}");
    }
}

#[tokio::test]
async fn retry_rerun_and_fork_use_the_registered_closures() {
    let one = |id: &str, does: &str| SequentialWorkflow::builder(id).add_step(id, does, json!(3)).build().unwrap();
    let all = |results: Vec<BranchResult>| match results.iter().find_map(|branch| branch.error.clone()) {
        Some(error) => Err(error),
        None => Ok(json!(results.len())),
    };
    let parallel = ParallelWorkflow::builder("many")
        .add_branch("x", Box::new(one("x", "flaky")))
        .add_branch("y", Box::new(one("y", "echo")))
        .with_aggregation(AggregationStrategy::Custom(Box::new(all)))
        .build()
        .unwrap();
    let (workflow, context) = (Arc::new(EnhancedWorkflow::new(parallel)), context());
    workflow.execute_with_infrastructure(WorkflowInput::default(), context.clone()).await.unwrap_err();
    let (executor, failed) = (context.executor(), newest_run(&context).await);
    let from_x = RewindOptions { from: Some("x/x".to_owned()), ..RewindOptions::default() };
    assert!(executor.state(&failed, Some("x/x")).await.is_ok() && executor.find_step(&failed, "x/x").await.is_ok());
    // A new run starts in the first generation, which fails again.
    for again in [executor.rerun(&failed, None, None).await, executor.fork(&failed, &RewindOptions::default()).await] {
        let DurableEnd::Finished(finished) = executor.finish(again.unwrap()).await.unwrap() else { panic!() };
        assert_eq!(finished.error.unwrap().code, "boom");
    }
    let retried = executor.retry(&failed, &RewindOptions::default()).await.unwrap();
    let DurableEnd::Finished(finished) = executor.finish(retried).await.unwrap() else { panic!() };
    assert_eq!(*finished.output, json!(2), "{:?}", finished.error);
    let completed = executor.home().find(&failed.id().to_string()).await.unwrap();
    let forked = executor.fork(&completed, &from_x).await.unwrap();
    assert!(matches!(executor.finish(forked).await.unwrap(), DurableEnd::Finished(_)));
}

#[tokio::test]
async fn final_state_is_saved_only_on_request() {
    let put = llmspell_workflows_basic::model::Step::function("a", "put", json!({"k": 7}));
    let basic = SequentialWorkflow::builder("keeps").with_step(put).build().unwrap();
    for (is_saved, expected) in [(false, None), (true, Some(json!({"k": 7})))] {
        let context = context();
        let workflow = Arc::new(EnhancedWorkflow::new(basic.clone()).with_state_persistence(is_saved));
        workflow.clone().execute_with_infrastructure(WorkflowInput::default(), context.clone()).await.unwrap();
        let loaded = workflow.load_state("keeps", &*context.state_storage).await.unwrap();
        assert_eq!(loaded.map(|state| state.to_value()), expected);
    }
}

#[tokio::test]
async fn wrapped_workflow_has_the_same_metadata_and_the_same_result_in_memory() {
    let basic =
        SequentialWorkflow::builder("says").description("what").add_step("a", "echo", json!(1)).build().unwrap();
    let workflow = EnhancedWorkflow::new(basic.clone());
    assert_eq!(
        (workflow.name(), workflow.metadata(), workflow.schema()),
        (basic.name(), basic.metadata(), basic.schema())
    );
    workflow.validate().unwrap();
    let output = AdvancedWorkflow::execute(&workflow, WorkflowInput::default(), ExecutionContext::new(engine()));
    assert_eq!(output.await.unwrap().final_result, json!(1));
}

#[tokio::test]
async fn error_of_a_failed_run_contains_the_run_id() {
    let fails = SequentialWorkflow::builder("fails").add_step("a", "fail", json!(1)).build().unwrap();
    let context: EnhancedExecutionContext = context();
    let workflow = Arc::new(EnhancedWorkflow::new(fails));
    let error = workflow.execute_with_infrastructure(WorkflowInput::default(), context.clone()).await.unwrap_err();
    let AdvancedError::Ended { run, error } = error else { panic!("{error}") };
    assert_eq!((run, &*error.step_error().unwrap().code), (newest_run(&context).await.id(), "boom"));
}
