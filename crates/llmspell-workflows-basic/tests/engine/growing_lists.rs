//! Steps that extend lists in the state.

use llmspell_workflows_basic::{
    Engine, Finished, WorkflowInput,
    model::{Definition, Step},
    state::{Change, Edit},
};
use serde_json::{Map, Value, json};

fn set(id: &str, key: &str, value: Value) -> Step {
    Step::set(id, Map::from_iter([(key.to_owned(), value)]))
}

/// Sets `list` to `before` and then, twice, to `value`.
async fn extended(before: &Value, value: &str) -> Finished {
    let steps =
        [set("before", "list", before.clone()), set("one", "list", json!(value)), set("two", "list", json!(value))];
    let input = WorkflowInput::new(json!({"more": [1, [2]], "none": null}));
    Engine::builder().build().run(Definition::sequence("lists", steps), input).await.expect("the definition is valid")
}

/// Returns a run's output, error code and state changes. Error messages are left out because they
/// quote the expressions, which differ.
fn summary(finished: &Finished) -> (Value, Option<&str>, Vec<Value>) {
    let changes = finished.state_changes.iter().map(|change| json!(change)).collect();
    (json!(*finished.output), finished.error.as_ref().map(|error| &*error.code), changes)
}

#[tokio::test]
async fn extending_a_list_gives_the_same_value_as_evaluating_its_expression() {
    for before in [json!([]), json!([7]), json!([[8], {"a": 9}, "b"]), json!("text"), json!(null), json!({"a": 1})] {
        for arguments in ["input.more", "1, 'two', [3, [4]]", "", "[]", "none", "input.missing", "state.list", "1 / 0"]
        {
            let fast = extended(&before, &format!("{{{{ state.list.concat({arguments}) }}}}")).await;
            // This expression has the same value but is not recognised as an extension.
            let plain = extended(&before, &format!("{{{{ (true ? state.list : null).concat({arguments}) }}}}")).await;
            assert_eq!(summary(&fast), summary(&plain), "{before} and {arguments}");
        }
    }
}

#[tokio::test]
async fn only_the_added_items_are_recorded() {
    let finished = extended(&json!([1, 2]), "{{ state.list.concat([3]) }}").await;
    let recorded: Vec<_> = finished.state_changes.iter().filter_map(appended).collect();
    assert_eq!(recorded, [(2, vec![json!(3)]), (3, vec![json!(3)])]);
    // Setting a different key does not extend the list.
    let steps = [
        set("before", "list", json!([1])),
        set("other", "other", json!("{{ state.list.concat([2]) }}")),
        set("length", "length", json!("{{ state.list.length }} {{ state.other.length }}")),
    ];
    let engine = Engine::builder().build();
    let finished = engine.run(Definition::sequence("lists", steps), WorkflowInput::default()).await;
    let finished = finished.expect("the definition is valid");
    assert!(finished.state_changes.iter().all(|change| appended(change).is_none()), "{:?}", finished.state_changes);
    assert_eq!(
        finished.state_changes.last().and_then(Change::value).map(|value| (**value).clone()),
        Some(json!("1 2"))
    );
}

fn appended(change: &Change) -> Option<(usize, Vec<Value>)> {
    match &change.edit {
        Edit::Append(append) => Some((append.at(), append.items().to_vec())),
        Edit::Set(_) => None,
    }
}

#[tokio::test]
async fn expressions_see_the_length_and_items_of_an_extended_list() {
    let steps = [
        set("before", "list", json!([1])),
        set("one", "list", json!("{{ state.list.concat([2, 3]) }}")),
        set("length", "length", json!("{{ state.list.length }}")),
        set("item", "item", json!("{{ state.list[2] }}")),
    ];
    let engine = Engine::builder().build();
    let finished = engine.run(Definition::sequence("lists", steps), WorkflowInput::default()).await;
    let changes = finished.expect("the definition is valid").state_changes;
    let values: Vec<Value> =
        changes.iter().skip(2).filter_map(|change| change.value().map(|v| (**v).clone())).collect();
    assert_eq!(values, [json!(3), json!(3)]);
}
