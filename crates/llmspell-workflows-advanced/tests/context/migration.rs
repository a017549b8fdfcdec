//! Workflows give the same results in basic and in advanced runs, as `docs/migration.md` promises.

use std::sync::Arc;

use llmspell_workflows_advanced::{AdvancedWorkflow, EnhancedExecutionContext, EnhancedWorkflow};
use llmspell_workflows_basic::{
    BasicWorkflow, Defined, Engine, ErrorStrategy, ExecutionContext, Finished, ParallelWorkflow, SequentialWorkflow,
    StepError, WorkflowInput, WorkflowState,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    model::Definition,
};
use llmspell_workflows_testing::patterns;
use serde_json::{Value, json};

use crate::support::within_timeout;

/// Returns an engine with the activities that the patterns of the testing crate call.
fn engine() -> Engine {
    let mut activities = Activities::new();
    for name in ["echo", "add", "flaky", "forever"] {
        let perform = function(move |context| perform(name, context));
        activities.register("function", name, perform);
    }
    activities.register(
        "tool",
        "echo",
        function(|context: ActivityContext| async move { Ok(context.input().clone()) }),
    );
    Engine::builder().activities(activities).build()
}

async fn perform(name: &'static str, context: ActivityContext) -> Result<ActivityOutput, StepError> {
    let input = context.input().clone();
    match name {
        "add" => {
            let sum = json!(input["n"].as_i64().unwrap_or(0) + 1);
            Ok(ActivityOutput::from(sum.clone()).with_state(input["key"].as_str().unwrap_or("sum"), sum))
        }
        "flaky" => {
            let path = context.path().to_path();
            let block = path.segments().iter().rev().nth(1).map_or(1, |segment| segment.generation);
            match i64::from(block.max(context.attempt())) < input["succeed_at"].as_i64().unwrap_or(0) {
                true => Err(StepError::transient("flaky", "the step fails")),
                false => Ok(json!("mended").into()),
            }
        }
        "forever" => {
            context.cancelled().await;
            Err(StepError::transient("stopped", "the step was stopped"))
        }
        _ => Ok(input.into()),
    }
}

/// Returns the final state of a run in memory.
fn state(finished: &Finished, input: &Value) -> Value {
    let mut state = WorkflowState::new(input.clone());
    for change in &finished.state_changes {
        state.apply(change.clone(), finished.ended_at).unwrap();
    }
    state.to_value()
}

async fn both_ways(definition: Definition, context: &EnhancedExecutionContext) {
    let (name, input) = (definition.name.clone(), WorkflowInput::new(patterns::input()));
    let basic = within_timeout(engine().run(definition.clone(), input.clone())).await.unwrap();
    let workflow = Arc::new(EnhancedWorkflow::define(definition));
    let advanced = within_timeout(workflow.execute_with_infrastructure(input, context.clone())).await.unwrap();
    assert_eq!(advanced.state_snapshot.unwrap().to_value(), state(&basic, &patterns::input()), "{name}");
    let basic = basic.into_output().unwrap();
    assert_eq!(advanced.basic_output.final_result, basic.final_result, "{name}");
    let paths = |output: &llmspell_workflows_basic::WorkflowOutput| {
        output.step_results.iter().map(|(path, step)| format!("{path} {:?}", step.status)).collect::<Vec<_>>()
    };
    // The loser of a race can be stopped at any point.
    if !name.contains("race") && !name.contains("nested") {
        assert_eq!(paths(&advanced.basic_output), paths(&basic), "{name}");
    }
}

#[tokio::test]
async fn basic_and_advanced_runs_of_every_pattern_give_the_same_result() {
    let context = EnhancedExecutionContext::in_memory().with_engine(engine());
    for definition in patterns::all().into_iter().chain([patterns::nested()]) {
        both_ways(definition, &context).await;
    }
}

#[cfg(feature = "sled")]
#[tokio::test]
async fn runs_of_every_pattern_in_a_folder_give_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let context = EnhancedExecutionContext::embedded(folder.path()).with_engine(engine());
    for definition in patterns::all() {
        both_ways(definition, &context).await;
    }
}

/// Returns a workflow from each basic builder, as in the guide.
fn built() -> Vec<Arc<dyn BasicWorkflow>> {
    let sequential = |name: &str| {
        let builder = SequentialWorkflow::builder(name).add_step("first", "echo", json!("{{ items[0] }}"));
        builder.add_step("second", "echo", json!({"was": "{{ first }}"})).with_error_handling(ErrorStrategy::Retry(2))
    };
    let one = |name: &str| Box::new(sequential(name).build().unwrap()) as Box<dyn Defined>;
    let parallel = ParallelWorkflow::builder("parallel").add_branch("x", one("x")).add_branch("y", one("y"));
    vec![Arc::new(sequential("sequential").build().unwrap()), Arc::new(parallel.build().unwrap())]
}

#[tokio::test]
async fn basic_and_advanced_runs_of_every_builder_give_the_same_result() {
    let input = || WorkflowInput::new(patterns::input());
    for basic in built() {
        let expected = basic.execute_basic(input(), &ExecutionContext::new(engine())).await.unwrap();
        let context = EnhancedExecutionContext::in_memory().with_engine(engine());
        let workflow = Arc::new(EnhancedWorkflow::shared(basic.clone()));
        let output = within_timeout(workflow.execute_with_infrastructure(input(), context)).await.unwrap();
        assert_eq!(output.basic_output.final_result, expected.final_result, "{}", basic.name());
        assert_eq!(output.basic_output.execution_path, expected.execution_path, "{}", basic.name());
    }
}
