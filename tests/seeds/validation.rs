//! A workflow that runs three checks concurrently; at least two of them must pass.

use llmspell_workflows_basic::{
    AggregationStrategy, Defined, ExecutionContext, ParallelErrorMode, ParallelWorkflow, SequentialWorkflow, StepError,
    WorkflowInput, WorkflowOutput,
    activity::{Activities, function},
};
use llmspell_workflows_tests::{engine, policy, yaml};
use serde_json::{Value, json};

fn single_step(name: &str, step: &str, tool: &str, parameters: Value) -> Box<SequentialWorkflow> {
    Box::new(SequentialWorkflow::builder(name).add_step(step, tool, parameters).build().unwrap())
}

fn validation() -> ParallelWorkflow {
    ParallelWorkflow::builder("data_validation")
        .add_required_branch(
            "schema",
            single_step(
                "schema_validation",
                "validate",
                "data_validator",
                json!({
                    "input": "{{data}}",
                    "schema": "{{validation_schema}}"
                }),
            ),
        )
        .add_required_branch(
            "business_rules",
            single_step(
                "business_validation",
                "rules",
                "rule_engine",
                json!({
                    "input": "{{data}}",
                    "rules": ["uniqueness", "referential_integrity", "value_ranges"]
                }),
            ),
        )
        .add_branch(
            "external",
            Box::new(
                ParallelWorkflow::builder("external_validation")
                    .add_branch(
                        "email",
                        single_step(
                            "email_check",
                            "verify",
                            "email_validator",
                            json!({
                                "input": "{{data.email}}",
                                "check_mx": true
                            }),
                        ),
                    )
                    .add_branch(
                        "phone",
                        single_step(
                            "phone_check",
                            "verify",
                            "phone_validator",
                            json!({
                                "input": "{{data.phone}}",
                                "country": "{{data.country}}"
                            }),
                        ),
                    )
                    .with_aggregation(AggregationStrategy::AllSuccess)
                    .build()
                    .unwrap(),
            ),
        )
        .with_aggregation(AggregationStrategy::PartialSuccess(2))
        .with_error_mode(ParallelErrorMode::FailFast)
        .build()
        .unwrap()
}

/// Simulates two validators that are not built in.
fn validators() -> Activities {
    let mut activities = Activities::new();
    activities.register(
        "tool",
        "email_validator",
        function(|call| async move {
            let email = call.input()["input"].as_str().unwrap_or_default().to_owned();
            if email.contains('@') {
                Ok(json!({"valid": true}))
            } else {
                Err(StepError::validation("no_email", format!("`{email}` is not an email address")))
            }
        }),
    );
    activities.register(
        "tool",
        "phone_validator",
        function(|call| async move {
            assert_eq!(call.input()["country"], "NZ");
            Ok(json!({"valid": true}))
        }),
    );
    activities
}

async fn run(data: Value) -> Result<WorkflowOutput, StepError> {
    let engine = engine(policy(None, None), validators()).build();
    let schema = json!({"type": "object", "required": ["email"], "properties": {"age": {"type": "integer"}}});
    let input = WorkflowInput::new(json!({"data": data, "validation_schema": schema}));
    let result = validation().execute(input, ExecutionContext::new(engine)).await;
    result.map_err(|error| error.step_error().unwrap().clone())
}

#[test]
fn rust_and_yaml_produce_the_same_definition() {
    let engine = engine(policy(None, None), validators()).build();
    let written = yaml("data_validation.yaml", &engine);
    assert_eq!(written, *validation().definition());
    assert_eq!(written.hash(), validation().definition().hash());
}

#[tokio::test]
async fn valid_data_passes_all_branches() {
    let output = run(json!({"email": "ada@example.com", "phone": "1", "country": "NZ", "age": 36})).await.unwrap();
    let passed = output.final_result.as_array().unwrap();
    assert_eq!(passed.len(), 3);
    assert_eq!(passed[0]["valid"], true);
    assert_eq!(passed[2], json!([{"valid": true}, {"valid": true}]));
}

#[tokio::test]
async fn data_that_passes_two_of_three_branches_is_valid() {
    let output = run(json!({"email": "nobody", "phone": "1", "country": "NZ"})).await.unwrap();
    let passed = output.final_result.as_array().unwrap();
    assert_eq!(passed.iter().map(Value::is_null).collect::<Vec<_>>(), [false, false, true]);
    let failed = output.step("/main/external").unwrap().error.clone().unwrap();
    assert_eq!(failed.cause.unwrap().path.as_deref(), Some("/main/external/email/verify"));
}
