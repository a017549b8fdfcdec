//! How an activity receives its input.

use llmspell_workflows_basic::model::{Definition, Step};
use serde_json::{Value, json};

use crate::support::{Lab, put};

fn address(input: &Value) -> usize {
    input["text"].as_str().map_or(0, |text| text.as_ptr() as usize)
}

/// Runs an activity with these parameters; returns whether its input arrived without a copy.
async fn is_moved(params: Value) -> bool {
    let mut lab = Lab::new();
    lab.register("take", |context| async move {
        let before = address(context.input());
        let input = context.into_input();
        Ok(json!(before != 0 && address(&input) == before).into())
    });
    let steps = [put("a", "text", json!("x".repeat(100))), Step::function("b", "take", params)];
    let finished = lab.run(Definition::sequence("w", steps)).await;
    assert_eq!(finished.error, None);
    finished.step("b").unwrap().output == Some(json!(true).into())
}

#[tokio::test]
async fn evaluated_input_is_moved_and_constant_input_is_copied() {
    assert!(is_moved(json!({"text": "{{ a.text }}"})).await);
    assert!(!is_moved(json!({"text": "fixed"})).await);
}
