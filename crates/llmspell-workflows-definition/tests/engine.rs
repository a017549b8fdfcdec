//! The engine accepts what the reader produces, and its problems are reported at their source locations.

use std::fs;

use llmspell_workflows_basic::{
    Engine,
    activity::{Activities, function},
    model::{Definition, StepKind},
};
use llmspell_workflows_definition::{StepTypes, check};

/// Creates an engine that knows every activity of `definition`.
fn engine(definition: &Definition) -> Engine {
    let mut activities = Activities::new();
    let mut add = |kind: &StepKind| {
        if let StepKind::Activity(call) = kind {
            let (kind, name) = (call.activity.kind.clone(), call.activity.name.clone());
            activities.register(kind, name, function(|call| async move { Ok(call.input().clone()) }));
        }
    };
    add(&definition.body);
    let mut rest = vec![llmspell_workflows_basic::model::Step::new("main", definition.body.clone())];
    rest.extend(definition.on_error.iter().chain(&definition.finally).map(|step| (**step).clone()));
    while let Some(step) = rest.pop() {
        add(&step.kind);
        rest.extend(step.children().into_iter().cloned());
    }
    Engine::builder().activities(activities).build()
}

/// Problems caused by the test host, which lacks features that the fixtures use.
const HOST_PROBLEMS: &[&str] = &["no_schema_check", "unknown_function"];

#[test]
fn good_fixtures_are_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/good");
    for entry in fs::read_dir(folder).expect("the fixtures exist") {
        let path = entry.expect("the fixture is readable").path();
        let text = fs::read_to_string(&path).expect("the fixture is text");
        let validate = |definition: &Definition| {
            let mut problems = engine(definition).validate(definition.clone());
            problems.retain(|problem| !HOST_PROBLEMS.contains(&problem.code));
            problems
        };
        let read = check(&text, &path.display().to_string(), &StepTypes::new(), validate);
        if let Err(diagnostics) = read {
            panic!("{diagnostics}");
        }
    }
}

/// `check` drops engine errors that merely result from a reader error.
#[test]
fn follow_up_errors_are_not_reported() {
    for text in [
        "{steps: [{id: a, tool: probe}]}",
        "{name: x}",
        "{name: x, steps: [{id: 1 st, tool: probe}, {id: b, tool: probe, needs: [1 st]}]}",
        "{name: x, steps: [{id: a, type: tol}, {id: b, tool: probe, needs: [a], when: a.ok}]}",
        "{name: x, steps: [{id: a, type: parallel, branches: 3}]}",
        "{name: x, steps: [{id: a, tool: probe, retries: {max_attempts: 0}}]}",
        "{name: x, steps: [{id: a, tool: probe}, {id: b, if: a.ok, then: [d]}]}",
        "{name: x, steps: [{id: a, tool: probe, next_step: [{condition: a.ok}]}]}",
        "{name: x, steps: [{id: a, type: shell, params: {command: x, argv: [x]}}]}",
        "{name: x, steps: [{id: a, type: shell, params: {comand: x, command: y}}]}",
        "{name: x, steps: [{id: a, type: set, params: 3}]}",
        "{name: x, steps: [{id: a, tool: probe, when: [steps.no.ok]}]}",
        "{name: x, steps: [{id: a, tool: probe}, {id: b, type: loop, items: 3, steps: [{id: c, tool: probe}]}]}",
    ] {
        let validate = |definition: &Definition| engine(definition).validate(definition.clone());
        let diagnostics = check(text, "x.yml", &StepTypes::new(), validate).expect_err(text);
        assert_eq!(diagnostics.list().len(), 1, "{text}\n{diagnostics}");
    }
}

#[test]
fn reader_and_engine_errors_form_one_list() {
    let text = "\
name: both
steps:
  - {id: a, tool: probe, timout: 3}
  - id: b
    tool: probe
    dependencies: [c]
    condition: \"{{ a.ok && nobody.ok }}\"
  - id: c
    tool: probe
    dependencies: [b]
    params: {text: \"x {{ a > }}\"}
";
    let diagnostics =
        check(text, "both.yml", &StepTypes::new(), |definition| engine(definition).validate(definition.clone()))
            .expect_err("the document has errors");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/both.txt");
    let text = format!("{diagnostics}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, &text).expect("the golden file is writable");
    }
    assert_eq!(fs::read_to_string(golden).unwrap_or_default(), text);
}

/// An error in one field of a step does not hide errors in its other fields or in other steps.
#[test]
fn independent_errors_in_a_step_are_reported_together() {
    for (text, expected) in [
        (
            "{name: x, steps: [{id: a, tool: probe, timout: 3, when: steps.no.ok}]}",
            ["unknown_field", "unknown_reference"],
        ),
        (
            "{name: x, steps: [{id: a, tool: probe, when: [x], params: {text: '{{ steps.no.ok }}'}}]}",
            ["wrong_type", "unknown_reference"],
        ),
        (
            "{name: x, steps: [{id: l, type: loop, items: [1], itms: 3, steps: [{id: a, tool: probe, when: steps.no.ok}]}]}",
            ["unknown_field", "unknown_reference"],
        ),
        (
            "{name: x, steps: [{id: 1 st, tool: probe}, {id: b, tool: probe, when: steps.no.ok}]}",
            ["invalid_id", "unknown_reference"],
        ),
    ] {
        let validate = |definition: &Definition| engine(definition).validate(definition.clone());
        let diagnostics = check(text, "x.yml", &StepTypes::new(), validate).expect_err(text);
        let codes: Vec<_> = diagnostics.list().iter().map(|one| one.code).collect();
        assert_eq!(codes, expected, "{text}\n{diagnostics}");
    }
}

#[test]
fn migration_errors_point_to_their_source() {
    let text = r#"name: shop
version: 2.0.0
migrations:
  "1.7":
    rename: {$input: data}
    set:
      total: "{{ state.sum + price }}"
      broken: "{{ state. }}"
    function: nobody
  2.0.0: {remove: x}
  "1.8": {to: "1.9"}
  "1.9": {to: 1.8}
steps: [{id: a, type: set, params: {x: "{{ state.total }}"}}]
"#;
    let validate = |definition: &Definition| engine(definition).validate(definition.clone());
    let diagnostics = check(text, "shop.yml", &StepTypes::new(), validate).expect_err("the document has errors");
    let found: Vec<_> = diagnostics.list().iter().map(|one| (one.line, one.code, &*one.message)).collect();
    let expected = [
        (4, "invalid_key", "a migration cannot change the state key `$input`"),
        (7, "unknown_reference", "a migration cannot refer to `price`"),
        (8, "expression_syntax", "the expression ends before a name"),
        (9, "unknown_function", "unknown migration `nobody`"),
        (10, "migration_without_end", "`2.0.0` is the version of the definition itself"),
        (
            11,
            "migration_without_end",
            "the migrations from version `1.8` form a cycle at `1.8` and do not lead to `2.0.0`",
        ),
        (
            12,
            "migration_without_end",
            "the migrations from version `1.9` form a cycle at `1.9` and do not lead to `2.0.0`",
        ),
    ];
    assert_eq!(found, expected, "{diagnostics}");
    let unversioned = text.replace("version: 2.0.0\n", "");
    let diagnostics =
        check(&unversioned, "shop.yml", &StepTypes::new(), validate).expect_err("the document has errors");
    assert_eq!(diagnostics.list().iter().filter(|one| one.code == "migration_without_version").count(), 4);
}

#[test]
fn migrations_cannot_merge_keys_or_use_unknown_inputs() {
    let text = r#"name: shop
version: 2.0.0
inputs: {eur: {type: integer, default: 1}}
migrations:
  "1.7":
    rename: {cart: basket, list: basket}
    set: {total: "{{ state.sum * input.eur + input.usd }}"}
steps: [{id: a, type: set, params: {x: 1}}]
"#;
    let validate = |definition: &Definition| engine(definition).validate(definition.clone());
    let diagnostics = check(text, "shop.yml", &StepTypes::new(), validate).expect_err("the document has errors");
    let found: Vec<_> = diagnostics.list().iter().map(|one| (one.code, &*one.message)).collect();
    let expected =
        [("invalid_key", "both `cart` and `list` would become `basket`"), ("unknown_reference", "unknown input `usd`")];
    assert_eq!(found, expected, "{diagnostics}");
}
