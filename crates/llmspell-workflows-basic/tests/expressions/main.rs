//! Tests for the language of conditions and templates, through its public API.

mod evaluating;
mod evaluation_errors;
mod functions;
mod limits;
mod parse_errors;
mod random;
mod reference;
mod references;
mod templates;

use llmspell_workflows_basic::expr::{EvalError, Expr};
use serde_json::{Value, json};

/// Returns the scope for the tests.
fn scope() -> Value {
    json!({
        "task": {"type": "feature", "name": "login", "tags": ["a", "b"], "note": "", "size": 3},
        "user": {"name": "Ada", "langs": ["en", "it"], "address": {"zip": "10115"}, "none": null},
        "steps": {"fetch-data": {"output": {"rows": [{"id": 7}, {"id": 8}]}}},
        "box": {"length": "own", "get": 1},
        "n": 5, "f": 2.5, "zero": 0, "yes": true, "no": false, "nothing": null,
        "text": "grün", "blank": "", "list": [3, 1, 2], "empty": [], "none": {},
        "key": "name", "index": 1, "big": u64::MAX, "small": i64::MIN,
    })
}

fn parsed(source: &str) -> Expr {
    Expr::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn lenient(source: &str) -> Result<Value, EvalError> {
    parsed(source).evaluate(&scope()).map(|v| v.into_owned())
}

fn strict(source: &str) -> Result<Value, EvalError> {
    parsed(source).evaluate_strict(&scope()).map(|v| v.into_owned())
}

/// Checks that each source evaluates to the given value, in strict and in lenient evaluation.
fn values(table: &[(&str, Value)]) {
    for (source, expected) in table {
        assert_eq!(lenient(source), Ok(expected.clone()), "{source}");
        assert_eq!(strict(source), Ok(expected.clone()), "{source}, strictly");
    }
}
