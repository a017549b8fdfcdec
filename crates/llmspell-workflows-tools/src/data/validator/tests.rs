use serde_json::{Value, json};

use super::*;
use crate::Policy;

/// Validates data, and reports invalid data as a result.
async fn call(mut parameters: Value) -> Result<Value, String> {
    parameters["on_invalid"] = json!("report");
    let result =
        DataValidator::new(Services::for_tests(Policy::default())).call(parameters, &ToolContext::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test]
async fn data_that_satisfies_all_rules_is_valid() {
    let rules = json!({
        "id": {"type": "uuid", "required": true},
        "contact.email": "email",
        "age": {"type": "integer", "min": 0, "max": 150},
        "tags": {"type": "array", "max_length": 2},
        "plan": {"enum": ["free", "paid"]},
        "code": {"pattern": "^[A-Z]{2}$", "min_length": 2},
    });
    let input = json!({
        "id": "0190163d-8694-739b-aea5-966c26f8ad91", "contact": {"email": "a@example.com"}, "age": 7,
        "tags": ["x"], "plan": "free", "code": "AB", "more": null,
    });
    let expected = json!({"valid": true, "errors": [], "checked": 11, "truncated": false});
    assert_eq!(call(json!({"input": input, "rules": rules})).await, Ok(expected.clone()));
    assert_eq!(call(json!({"input": input.to_string(), "rules": rules})).await, Ok(expected));
}

#[tokio::test]
async fn each_rule_has_a_specific_message() {
    let table = [
        (json!("email"), json!("x"), "type", "must be an e-mail address"),
        (json!({"type": "integer"}), json!("7"), "type", "must be an integer"),
        (json!({"min": 1}), json!(0), "min", "must be at least 1"),
        (json!({"max": 1.5}), json!(2), "max", "must be at most 1.5"),
        (json!({"min": 1}), json!("5"), "min", "expected a number to compare with the bound, got a string"),
        (json!({"min_length": 2}), json!("é"), "min_length", "must have at least 2 characters"),
        (json!({"max_length": 1}), json!([1, 2]), "max_length", "must have at most 1 items"),
        (json!({"max_length": 1}), json!(7), "max_length", "expected a string, an array or an object, got an integer"),
        (json!({"pattern": "^a"}), json!("b"), "pattern", "must match `^a`"),
        (
            json!({"pattern": "^1"}),
            json!(1),
            "pattern",
            "expected a string to match against the pattern, got an integer",
        ),
        (json!({"enum": [1, "a"]}), json!("b"), "enum", "must be one of 1, \"a\""),
        (json!({"type": "url", "message": "give the home page"}), json!("x"), "type", "give the home page"),
    ];
    for (rule, value, name, message) in table {
        let result = call(json!({"input": [{"f": value}], "rules": {"f": rule}})).await.unwrap();
        let error = json!({"path": "[0].f", "rule": name, "message": message, "value": value});
        let expected = json!({"valid": false, "errors": [error], "checked": 1, "truncated": false});
        assert_eq!(result, expected);
    }
}

#[tokio::test]
async fn every_error_in_every_item_is_listed() {
    let input = json!([{"a": null, "b": "abc"}, {"a": 1, "b": "ABCD"}, 7]);
    let rules = json!({"a": {"required": true}, "b": {"max_length": 2, "pattern": "^[a-z]*$"}});
    let result = call(json!({"input": input, "rules": rules})).await.unwrap();
    let expected = json!([
        {"path": "[0].a", "rule": "required", "message": "required field is missing"},
        {"path": "[0].b", "rule": "max_length", "message": "must have at most 2 characters", "value": "abc"},
        {"path": "[1].b", "rule": "max_length", "message": "must have at most 2 characters", "value": "ABCD"},
        {"path": "[1].b", "rule": "pattern", "message": "must match `^[a-z]*$`", "value": "ABCD"},
        {"path": "[2]", "rule": "object", "message": "expected an object, got an integer", "value": 7},
    ]);
    assert_eq!(result["errors"], expected);
    assert_eq!(result["checked"], 7);
}

#[tokio::test]
async fn a_schema_validates_any_value() {
    let result = call(json!({"input": "text", "schema": {"type": "string", "maxLength": 2}})).await.unwrap();
    let error = json!({
        "path": "", "rule": "maxLength", "message": "the value is longer than 2 characters",
        "schema_path": "/maxLength", "value": "text",
    });
    assert_eq!(result, json!({"valid": false, "errors": [error], "checked": 1, "truncated": false}));
}

#[tokio::test]
async fn invalid_parameters_are_rejected() {
    let table = [
        (json!({"input": {}}), "exactly one of `rules` and `schema` is required"),
        (
            json!({"input": {}, "rules": {"a": "email"}, "schema": {}}),
            "exactly one of `rules` and `schema` is required",
        ),
        (
            json!({"input": 7, "rules": {"a": "email"}}),
            "`input` must be an object or an array of objects for `rules`, got an integer",
        ),
        (
            json!({"input": {}, "rules": {"a": {"pattern": "("}}}),
            "invalid rule for `a`: `(` is not a valid regular expression: ",
        ),
        (
            json!({"input": {}, "rules": {"a": {"min": 2, "max": 1}}}),
            "invalid rule for `a`: `min` (2) is greater than `max` (1)",
        ),
        (
            json!({"input": {}, "rules": {"a.": "email"}}),
            "invalid rule for `a.`: the path `a.` is invalid at character 2",
        ),
        (json!({"input": {}, "rules": {"a": "mail"}}), "invalid rule for `a`: unknown variant `mail`"),
    ];
    for (parameters, expected) in table {
        let error = call(parameters.clone()).await.unwrap_err();
        assert!(error.starts_with(expected), "{parameters}: {error}");
    }
}

#[tokio::test]
async fn invalid_data_fails_the_call_unless_on_invalid_is_report() {
    let rules = json!({"id": {"required": true}, "age": "integer"});
    for (input, expected) in [
        (json!({"id": 1, "age": 7}), Ok(())),
        (json!({"age": 7}), Err("the data is invalid: `id`: required field is missing")),
        (json!([{"id": 1}, {"age": "x"}]), Err("the data is invalid: `[1].age`: must be an integer (1 more)")),
    ] {
        let parameters = json!({"input": input, "rules": rules});
        let result =
            DataValidator::new(Services::for_tests(Policy::default())).call(parameters, &ToolContext::default()).await;
        match (result, expected) {
            (Ok(result), Ok(())) => assert_eq!(result["valid"], true),
            (Err(error), Err(expected)) => {
                assert_eq!((error.code, error.message.as_str()), ("invalid_data", expected));
                assert_eq!(error.details.unwrap()["valid"], false);
            }
            (result, _) => panic!("{input}: {result:?}"),
        }
    }
}
