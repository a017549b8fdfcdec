//! Operators, precedence and truth.

use llmspell_workflows_basic::expr::Expr;
use serde_json::{Value, json};

fn check(table: &[(&str, Value)]) {
    let scope = super::scope();
    for (source, expected) in table {
        let value = Expr::parse(source).map(|e| e.evaluate(&scope).map(|v| v.into_owned()));
        assert_eq!(value, Ok(Ok(expected.clone())), "{source}");
    }
}

#[test]
fn operators_of_comparison() {
    check(&[
        ("1 == 1.0", json!(true)),
        ("'1' == 1", json!(false)),
        ("task.type === 'feature'", json!(true)),
        ("task.type !== 'hotfix' && n > 3", json!(true)),
        ("null == undefined", json!(true)),
        ("state.none == missing", json!(true)),
        ("[1, {a: 2.0}] == [1.0, {a: 2}]", json!(true)),
        ("'a' < 'b'", json!(true)),
        ("big > 9223372036854775807", json!(true)),
        ("9007199254740993 == 9007199254740992.0", json!(false)),
        ("'a' in task.tags", json!(true)),
        ("'c' not in task.tags", json!(true)),
        ("task.tags contains 'a'", json!(true)),
        ("text contains 'schön'", json!(true)),
        ("'name' in task", json!(true)),
        ("task.tags not contains 'x'", json!(true)),
    ]);
}
