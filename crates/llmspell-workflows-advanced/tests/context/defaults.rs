//! The two default contexts: one in memory, one with runs in a folder.

use std::sync::Arc;

use llmspell_workflows_advanced::{AdvancedWorkflow, EnhancedExecutionContext, EnhancedWorkflow, MemoryHome, RunQuery};
use llmspell_workflows_basic::{RunStatus, WorkflowInput, WorkflowState};
use llmspell_workflows_hooks::{HookDispatcher, Registration, answer::Before, hook_fn, point::BeforeStep};
use serde_json::json;

use crate::support::{context, echo, elsewhere, engine, finished, newest_run, put, sequence, start};

/// Starts and drops a run, then resumes and reads it in another context over the same home.
async fn resumes_in_another_context(
    context: EnhancedExecutionContext,
    reopen: impl FnOnce(EnhancedExecutionContext) -> EnhancedExecutionContext,
) {
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), echo("b", json!("{{ state.k }}"))])).await;
    let id = run.id();
    drop((run, executor));
    let context = reopen(context);
    let known = newest_run(&context).await;
    assert_eq!((known.id(), known.status(), known.holder.clone()), (id, RunStatus::Interrupted, None));
    let run = context.executor().resume(&known).await.unwrap();
    assert!(newest_run(&context).await.holder.is_some());
    let finished = finished(&context.executor(), run).await;
    assert_eq!((finished.run_id, &*finished.output), (id, &json!(1)));
    let home = context.state_manager.home();
    let history = home.history(&newest_run(&context).await).await.unwrap();
    assert_eq!(
        history.steps.iter().map(|step| step.path.as_str()).collect::<Vec<_>>(),
        ["/main", "/main/a", "/main/b"]
    );
    assert_eq!(home.definition(&known.summary.definition).await.unwrap().name, "test");
}

#[tokio::test]
async fn run_in_memory_resumes_in_another_context() {
    resumes_in_another_context(context(), elsewhere).await;
    assert_eq!(EnhancedExecutionContext::in_memory().state_manager.home().location(), "memory");
}

#[cfg(feature = "sled")]
#[tokio::test]
async fn run_in_a_folder_resumes_in_another_context() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let first = EnhancedExecutionContext::embedded(&path).with_engine(engine());
    resumes_in_another_context(first, |context| {
        drop(context);
        EnhancedExecutionContext::embedded(path).with_engine(engine())
    })
    .await;
}

#[tokio::test]
async fn error_names_the_other_executor_that_owns_the_run() {
    let context = context();
    let run = start(&context.executor(), sequence([put("a", 1)])).await;
    let other = EnhancedExecutionContext::new(context.state_manager.home().clone()).with_engine(engine());
    let error = other.executor().resume(&newest_run(&context).await).await.unwrap_err();
    assert!(error.to_string().contains("another executor of this process"), "{error}");
    // New runs of the other executor go to a separate journal.
    let own = start(&other.executor(), sequence([put("a", 1)])).await;
    finished(&other.executor(), own).await;
    finished(&context.executor(), run).await;
    assert_eq!(other.state_manager.home().runs(&RunQuery::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn archived_runs_can_still_be_read() {
    let context = context();
    for _ in 0..70 {
        let run = start(&context.executor(), sequence([put("a", 1)])).await;
        finished(&context.executor(), run).await;
    }
    let home = context.state_manager.home();
    let runs = home.runs(&RunQuery { limit: 100, ..RunQuery::default() }).await.unwrap();
    assert_eq!(runs.len(), 70);
    for run in &runs {
        assert!(home.history(run).await.unwrap().end.is_some());
    }
}

#[tokio::test]
async fn replacing_a_service_affects_later_runs() {
    let mut context = context();
    let run = start(&context.executor(), sequence([echo("a", json!(1))])).await;
    assert_eq!(*finished(&context.executor(), run).await.output, json!(1));
    let instead = hook_fn(|_| async { Ok(Before::Replace(json!("instead"))) });
    let dispatcher = HookDispatcher::builder().register(Registration::new("instead").at(BeforeStep, instead)).build();
    context.hook_dispatcher = Arc::new(dispatcher);
    let run = start(&context.executor(), sequence([echo("a", json!(1))])).await;
    assert_eq!(*finished(&context.executor(), run).await.output, json!("instead"));
    let in_memory = context.engine().run(sequence([echo("a", json!(1))]), WorkflowInput::default()).await.unwrap();
    assert_eq!(*in_memory.output, json!("instead"));
}

#[tokio::test]
async fn states_can_be_saved_loaded_and_removed() {
    let context = context();
    let storage = &context.state_storage;
    assert!(storage.load("counter").await.unwrap().is_none());
    let mut state = WorkflowState::new(json!({"from": 1}));
    state.set("n", json!([1, 2])).unwrap();
    storage.save("counter", &state).await.unwrap();
    let loaded = storage.load("counter").await.unwrap().unwrap();
    assert_eq!((loaded.to_value(), loaded.key("$input")), (json!({"n": [1, 2]}), Some(&json!({"from": 1}))));
    assert!(storage.remove("counter").await.unwrap() && !storage.remove("counter").await.unwrap());
}

#[tokio::test]
async fn context_built_on_an_existing_home_runs_workflows() {
    let context = EnhancedExecutionContext::new(MemoryHome::new()).with_engine(engine());
    let workflow = Arc::new(EnhancedWorkflow::define(sequence([echo("a", json!("{{ n }}"))])));
    let output = workflow.execute_with_infrastructure(WorkflowInput::new(json!({"n": 4})), context).await.unwrap();
    assert_eq!(output.basic_output.final_result, json!(4));
}
