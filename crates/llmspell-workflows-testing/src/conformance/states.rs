use llmspell_workflows_advanced::StateStorage;
use llmspell_workflows_basic::WorkflowState;
use serde_json::{Value, json};

fn state(input: Value, n: Value) -> WorkflowState {
    let mut state = WorkflowState::new(input);
    state.set("n", n).expect("`n` is a valid path");
    state
}

/// Tests that states are stored unchanged under their names, and can be replaced and removed.
///
/// # Panics
/// Panics if the storage does not conform.
pub async fn states(storage: &dyn StateStorage) {
    let load = async |name: &str| {
        let loaded = storage.load(name).await.expect("loading a state must succeed");
        loaded.map(|state| (state.key("$input").cloned().unwrap_or_default(), state.to_value()))
    };
    assert_eq!(load("one").await, None, "an empty storage must return no state");
    let saved = [("one", json!({"from": 1}), json!([1, {"deep": null}])), ("ünï/cödé 2", json!(null), json!("two"))];
    for (name, input, n) in &saved {
        storage.save(name, &state(input.clone(), n.clone())).await.expect("saving a state must succeed");
    }
    for (name, input, n) in saved {
        assert_eq!(
            load(name).await,
            Some((input, json!({"n": n}))),
            "the state `{name}` must be loaded as it was saved"
        );
    }
    storage.save("one", &state(json!(3), json!(4))).await.expect("saving a state must succeed");
    assert_eq!(load("one").await, Some((json!(3), json!({"n": 4}))), "saving a state again must replace it");
    assert!(
        storage.remove("one").await.expect("removing a state must succeed"),
        "removing an existing state must return true"
    );
    assert!(
        !storage.remove("one").await.expect("removing a state must succeed"),
        "removing it again must return false"
    );
    assert_eq!(load("one").await, None, "a removed state must be gone");
    assert!(load("ünï/cödé 2").await.is_some(), "other states must remain");
}
