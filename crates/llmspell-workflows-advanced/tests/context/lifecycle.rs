//! The lifecycle methods of workflows.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    AdvancedError, AdvancedWorkflow, AdvancedWorkflowOutput, EnhancedExecutionContext, Parking, StepResult,
};
use llmspell_workflows_basic::{
    BasicWorkflow, Defined, ExecutionContext, SequentialWorkflow, StepError, WorkflowError, WorkflowInput,
    WorkflowOutput, model::Step,
};
use llmspell_workflows_hooks::HookContext;
use serde_json::json;

use crate::support::{context, elsewhere, newest_run, post, until_free, wait_for, within_timeout};

/// A workflow that logs the calls of its lifecycle methods and fails in the method `fails_at`.
struct LoggedWorkflow {
    basic: SequentialWorkflow,
    log: Arc<Mutex<Vec<String>>>,
    fails_at: &'static str,
}

impl LoggedWorkflow {
    fn new(steps: impl IntoIterator<Item = Step>, fails_at: &'static str) -> Arc<Self> {
        let builder = SequentialWorkflow::builder("watched");
        let builder = steps.into_iter().fold(builder, |builder, step| builder.with_step(step));
        Arc::new(Self { basic: builder.build().unwrap(), log: Arc::default(), fails_at })
    }

    fn note(&self, method: &str, text: String) -> Result<(), StepError> {
        self.log.lock().unwrap().push(format!("{method} {text}"));
        if method == self.fails_at { Err(StepError::configuration("refused", "this is refused")) } else { Ok(()) }
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[async_trait]
impl BasicWorkflow for LoggedWorkflow {
    fn name(&self) -> &str {
        self.basic.name()
    }

    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        self.basic.execute_basic(input, context).await
    }

    fn as_defined(&self) -> Option<&dyn Defined> {
        Some(&self.basic)
    }
}

#[async_trait]
impl AdvancedWorkflow for LoggedWorkflow {
    async fn on_start(&self, context: &HookContext) -> Result<(), StepError> {
        self.note("on_start", context.workflow().to_owned())
    }

    async fn on_step_start(&self, step_id: &str, _: &HookContext) -> Result<(), StepError> {
        self.note("on_step_start", step_id.to_owned())
    }

    async fn on_step_end(&self, step_id: &str, result: &StepResult, _: &HookContext) -> Result<(), StepError> {
        let result = match result {
            StepResult::Success(output) => output.to_string(),
            StepResult::Failed(error) => error.code.to_string(),
        };
        self.note("on_step_end", format!("{step_id} {result}"))
    }

    async fn on_complete(&self, output: &AdvancedWorkflowOutput, _: &HookContext) -> Result<(), StepError> {
        let steps = output.basic_output.execution_path.join(",");
        let state = output.state_snapshot.as_ref().unwrap().to_value();
        assert!(output.execution_events.iter().any(|event| event.kind.as_str() == "step.completed"));
        self.note("on_complete", format!("{} {steps} {state}", output.basic_output.final_result))
    }

    async fn on_error(&self, error: &WorkflowError, _: &HookContext) -> Result<(), StepError> {
        self.note("on_error", error.step_error().unwrap().code.to_string())
    }
}

fn steps() -> [Step; 2] {
    [Step::function("a", "put", json!({"k": 1})), Step::function("b", "echo", json!("{{ state.k }}"))]
}

async fn run(
    workflow: &Arc<LoggedWorkflow>,
    context: EnhancedExecutionContext,
) -> Result<AdvancedWorkflowOutput, AdvancedError> {
    within_timeout(workflow.clone().execute_with_infrastructure(WorkflowInput::new(json!({})), context)).await
}

#[tokio::test]
async fn lifecycle_methods_are_called_in_order() {
    let workflow = LoggedWorkflow::new(steps(), "");
    let output = run(&workflow, context()).await.unwrap();
    assert_eq!(output.basic_output.final_result, json!(1));
    let expected = [
        "on_start watched",
        "on_step_start a",
        "on_step_end a {\"k\":1}",
        "on_step_start b",
        "on_step_end b 1",
        "on_complete 1 a,b {\"k\":1}",
    ];
    assert_eq!(workflow.log(), expected);
}

#[tokio::test]
async fn failing_lifecycle_method_fails_the_run() {
    for (method, called) in [("on_start", 1), ("on_step_start", 2), ("on_step_end", 3), ("on_complete", 6)] {
        let workflow = LoggedWorkflow::new(steps(), method);
        let context = context();
        let error = run(&workflow, context.clone()).await.unwrap_err();
        let AdvancedError::Ended { error, .. } = error else { panic!("{method}: {error}") };
        assert!(error.to_string().contains("this is refused"), "{method}: {error}");
        let log = workflow.log();
        assert_eq!(log.iter().filter(|line| !line.starts_with("on_error")).count(), called, "{log:?}");
        assert_eq!(newest_run(&context).await.status().to_string(), "failed");
    }
}

#[tokio::test]
async fn on_error_is_called_even_if_it_fails() {
    for fails_at in ["", "on_error"] {
        let workflow = LoggedWorkflow::new([Step::function("a", "fail", json!(1))], fails_at);
        run(&workflow, context()).await.unwrap_err();
        let expected = ["on_start watched", "on_step_start a", "on_step_end a boom", "on_error boom"];
        assert_eq!(workflow.log(), expected);
    }
}

#[tokio::test]
async fn resumed_run_calls_lifecycle_methods_only_for_open_steps() {
    let [a, b] = steps();
    let workflow = LoggedWorkflow::new([a, wait_for("wait", "go"), b], "");
    let context = context().with_parking(Parking::ForSignals);
    let running = tokio::spawn({
        let (workflow, context) = (workflow.clone(), context.clone());
        async move { run(&workflow, context).await }
    });
    within_timeout(async {
        while !workflow.log.lock().unwrap().iter().any(|line| line == "on_step_start wait") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.abort();
    running.await.unwrap_err();
    let context = elsewhere(context);
    until_free(&context).await;
    workflow.log();
    // The executor calls the lifecycle methods of the registered workflow.
    let known: Arc<dyn AdvancedWorkflow> = workflow.clone();
    context.register(&known);
    let run = context.executor().resume(&newest_run(&context).await).await.unwrap();
    let executor = context.executor();
    let running = tokio::spawn(async move { crate::support::finished(&executor, run).await });
    post(&context, llmspell_workflows_advanced::Message::Signal { name: "go".into(), payload: json!(0) }).await;
    assert_eq!(*running.await.unwrap().output, json!(1));
    let log = workflow.log();
    assert!(log.iter().all(|line| !line.contains(" a ") && !line.ends_with(" a")), "{log:?}");
    assert_eq!(log.last().unwrap(), "on_complete 1 a,wait,b {\"k\":1}");
}

#[tokio::test]
async fn panic_in_a_lifecycle_method_fails_only_its_run() {
    struct Panics;
    #[async_trait]
    impl BasicWorkflow for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        async fn execute_basic(&self, _: WorkflowInput, _: &ExecutionContext) -> Result<WorkflowOutput, WorkflowError> {
            Ok(WorkflowOutput::of(json!(1)))
        }
    }
    #[async_trait]
    impl AdvancedWorkflow for Panics {
        async fn on_start(&self, _: &HookContext) -> Result<(), StepError> {
            panic!("on purpose")
        }
    }
    let error = Arc::new(Panics).execute_with_infrastructure(WorkflowInput::default(), context()).await.unwrap_err();
    assert!(error.to_string().contains("on purpose"), "{error}");
}
