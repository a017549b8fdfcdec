//! Every function of the table does what its entry says.

use llmspell_workflows_basic::expr::{Expr, function_docs};
use serde_json::{Value, json};

#[test]
fn examples_give_their_results() {
    for function in function_docs() {
        let result: Value = serde_json::from_str(function.result).unwrap();
        let value = Expr::parse(function.example).map(|e| e.evaluate_strict(&json!({})).map(|v| v.into_owned()));
        assert_eq!(value, Ok(Ok(result)), "{}", function.example);
    }
}
