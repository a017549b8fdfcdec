//! Names used in expressions must be unique, except in two lists that do not contain each
//! other. A name must not be defined in terms of itself.

use llmspell_workflows_basic::{
    Severity,
    model::{Definition, InputSpec, Loop, Parallel, Step},
};
use serde_json::{Map, json};

use crate::support::Lab;

/// The kinds of things that can be named `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Named {
    Input,
    Variable,
    Condition,
    Step,
    InnerStep,
}

const ALL: [Named; 5] = [Named::Input, Named::Variable, Named::Condition, Named::Step, Named::InnerStep];

fn set(id: &str) -> Step {
    Step::set(id, Map::new())
}

/// Returns a definition in which each of `kinds` is named `name`.
fn definition(name: &str, kinds: &[Named]) -> Definition {
    let has = |kind| kinds.contains(&kind);
    let id = |kind, other: &str| if has(kind) { name.to_owned() } else { other.to_owned() };
    let inner = Loop::items(json!([1]), [set(&id(Named::InnerStep, "inner"))]).into_step("each");
    let mut definition = Definition::sequence("d", [set(&id(Named::Step, "step-1")), inner]);
    if has(Named::Input) {
        definition.inputs.insert(name.to_owned(), InputSpec::default());
    }
    if has(Named::Variable) {
        definition.variables.insert(name.to_owned(), json!(1));
    }
    if has(Named::Condition) {
        definition.conditions.insert(name.to_owned(), "true".to_owned());
    }
    definition
}

/// Returns the location and message of each name that is used twice.
fn shadowed(definition: Definition) -> Vec<String> {
    let checked = Lab::new().engine().build().validate(definition);
    let of_names = checked.into_iter().filter(|problem| problem.code == "shadowed_name");
    of_names
        .map(|problem| {
            assert_eq!(problem.severity, Severity::Error);
            format!("{} {}: {}", problem.place.path, problem.place.field, problem.message)
        })
        .collect()
}

#[test]
fn duplicate_names_are_rejected() {
    for (number, one) in ALL.iter().enumerate() {
        assert_eq!(shadowed(definition("x", &[*one])), Vec::<String>::new(), "{one:?}");
        for other in &ALL[number + 1..] {
            let found = shadowed(definition("x", &[*one, *other]));
            assert_eq!(found.len(), 1, "{one:?} and {other:?}: {found:?}");
            assert!(found[0].contains("`x` is also a"), "{found:?}");
        }
    }
}

#[test]
fn names_with_a_fixed_meaning_are_rejected() {
    for root in ["input", "variables", "steps", "state", "context", "loop", "workflow", "run", "env", "secrets"] {
        for kind in ALL {
            let found = shadowed(definition(root, &[kind]));
            assert!(found.iter().any(|text| text.contains("a reserved name")), "{root} as {kind:?}: {found:?}");
        }
    }
    // `task` means the input of the same name, and `event` exists only in signal filters.
    for name in ["task", "event"] {
        assert_eq!(shadowed(definition(name, &[Named::Input])), Vec::<String>::new(), "{name}");
        assert_eq!(shadowed(definition(name, &[Named::Variable])).len(), 1, "{name}");
    }
}

#[test]
fn separate_lists_can_use_the_same_ids() {
    let each = |id: &str| Loop::items(json!([1]), [set("same")]).into_step(id);
    assert_eq!(shadowed(Definition::sequence("d", [each("one"), each("two")])), Vec::<String>::new());
    let both = Parallel::new([each("one"), each("two")]).into_step("both");
    assert_eq!(shadowed(Definition::sequence("d", [both])), Vec::<String>::new());
}

/// Returns the circular references among these variables, conditions and environment values.
///
/// Each has the form `field: message`.
fn circles(variables: &[(&str, &str)], conditions: &[(&str, &str)], prod: &[(&str, &str)]) -> Vec<String> {
    let values = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let mut definition = Definition { variables: values(variables), ..Definition::sequence("d", [set("s")]) };
    definition.conditions = conditions.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    definition.environments.insert("prod".to_owned(), values(prod));
    let problems = Lab::new().engine().build().validate(definition);
    let found = problems.into_iter().filter(|problem| problem.code == "circular_reference");
    found.map(|problem| format!("{}: {}", problem.place.field, problem.message)).collect()
}

#[test]
fn circular_variables_and_conditions_are_rejected() {
    let none: Vec<String> = Vec::new();
    assert_eq!(circles(&[("a", "{{ b }}"), ("b", "{{ variables.c }}"), ("c", "1")], &[], &[]), none);
    assert_eq!(circles(&[("a", "{{ a ?? 1 }}")], &[], &[]), ["variables/a: `a` refers to itself"]);
    assert_eq!(
        circles(&[("x", "{{ a }}"), ("a", "{{ b }}"), ("b", "{{ variables.a }}")], &[], &[]),
        ["variables/b: `a` refers to itself through `b`"]
    );
    assert_eq!(
        circles(&[("a", "{{ b }}"), ("b", "1")], &[], &[("b", "{{ a }}")]),
        ["environments/prod/b: `a` refers to itself through `b`"]
    );
    assert_eq!(circles(&[], &[("c", "not conditions.d"), ("d", "e and true"), ("e", "1 > 2")], &[]), none);
    assert_eq!(
        circles(&[], &[("c", "not conditions.d"), ("d", "not c")], &[]),
        ["conditions/d: `c` refers to itself through `d`"]
    );
}
