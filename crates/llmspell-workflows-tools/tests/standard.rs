//! Every tool in the standard registry follows the conventions for names, schemas and descriptions.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use llmspell_workflows_tools::{Policy, Registry, standard};
use serde_json::{Value, json};

fn tools() -> Registry {
    standard(Policy::default().into()).unwrap()
}

#[test]
fn tools_have_snake_case_names_and_can_be_looked_up_in_kebab_case() {
    let tools = tools();
    for spec in tools.specs() {
        assert!(spec.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{}", spec.name);
        assert_eq!(tools.get(&spec.name.replace('_', "-")).unwrap().spec().name, spec.name);
    }
}

#[test]
fn schemas_compile_and_unknown_parameters_are_rejected() {
    let tools = tools();
    for spec in tools.specs() {
        assert!(tools.check_result(spec.name, &Value::Null).is_ok(), "{}", spec.name);
        let violations = tools.check_parameters(spec.name, &json!({"no_such_parameter": 1}), &|_| false).unwrap();
        let unknown = violations.iter().find(|violation| violation.pointer == "/no_such_parameter");
        assert!(unknown.is_some_and(|violation| violation.message.starts_with("unknown property")), "{}", spec.name);
    }
}

#[test]
fn every_description_is_a_single_sentence() {
    for spec in tools().specs() {
        assert!(spec.description.ends_with('.') && !spec.description.contains(". "), "{}", spec.description);
    }
}

#[test]
fn every_parameter_has_a_description() {
    for spec in tools().specs() {
        for (name, schema) in spec.parameters["properties"].as_object().unwrap() {
            assert!(schema["description"].is_string(), "{}.{name} has no description", spec.name);
        }
    }
}
