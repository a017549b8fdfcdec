//! The YAML example in the README produces the documented output.
#![cfg(all(feature = "definition", feature = "tools"))]

use std::sync::Arc;

use llmspell_workflows::{
    Engine, WorkflowInput,
    definition::{StepTypes, check},
    tools::{JsonSchemas, Policy, Tools, activities, registry},
};
use serde_json::json;

const README: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_yaml_example_finds_the_negative_review() {
    let yaml = README.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let policy = Arc::new(Policy::default());
    let tools = Tools::new(Arc::new(registry(policy.clone()).unwrap()));
    let activities = activities(tools, policy).unwrap();
    let engine = Engine::builder().activities(activities).schemas(JsonSchemas::new()).build();

    let document = check(yaml, "README.md", &StepTypes::new(), |definition| engine.validate(definition.clone()))
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert!(document.diagnostics().list().is_empty(), "{}", document.diagnostics());

    let input = README.split("--input 'reviews:=").nth(1).unwrap().split('\'').next().unwrap();
    let reviews: serde_json::Value = serde_json::from_str(input).unwrap();
    let finished = engine.run(document.definition, WorkflowInput::new(json!({"reviews": reviews}))).await.unwrap();
    assert_eq!(*finished.output, json!(["What a horrible, useless thing."]), "{:?}", finished.error);
}
