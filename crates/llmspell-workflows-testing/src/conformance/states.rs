use llmspell_workflows_advanced::StateStorage;
use llmspell_workflows_basic::WorkflowState;
use serde_json::{Value, json};

fn state(input: Value, n: Value) -> WorkflowState {
    let mut state = WorkflowState::new(input);
    state.set("n", n).expect("a key is a path");
    state
}

/// States are kept under names as they were, replaced and forgotten.
///
/// # Panics
/// The storage does something else.
pub async fn states(storage: &dyn StateStorage) {
    let load = async |name: &str| {
        let loaded = storage.load(name).await.expect("a state is loaded");
        loaded.map(|state| (state.key("$input").cloned().unwrap_or_default(), state.to_value()))
    };
    assert_eq!(load("one").await, None, "an empty storage has no state");
    let kept = [("one", json!({"from": 1}), json!([1, {"deep": null}])), ("ünï/cödé 2", json!(null), json!("two"))];
    for (name, input, n) in &kept {
        storage.save(name, &state(input.clone(), n.clone())).await.expect("a state is saved");
    }
    for (name, input, n) in kept {
        assert_eq!(load(name).await, Some((input, json!({"n": n}))), "what is loaded is what was saved as `{name}`");
    }
    storage.save("one", &state(json!(3), json!(4))).await.expect("a state is saved");
    assert_eq!(load("one").await, Some((json!(3), json!({"n": 4}))), "what is saved last replaces what was there");
    assert!(storage.remove("one").await.expect("a state is removed"), "it was there");
    assert!(!storage.remove("one").await.expect("a state is removed"), "it was there no more");
    assert_eq!(load("one").await, None, "what was removed is gone");
    assert!(load("ünï/cödé 2").await.is_some(), "and nothing else is");
}
