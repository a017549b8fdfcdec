use std::borrow::Cow;

use llmspell_workflows_basic::expr::{Expr, Scope, Segment};
use serde_json::Value;

use crate::ExpressionEvaluator;

/// Evaluates the project's own expression language for `rule_engine`.
///
/// Names refer to fields of the item; `item` refers to the item itself, unless the item has a field named `item`.
///
/// ```
/// use llmspell_workflows_tools::{ExpressionEvaluator, Expressions};
/// use serde_json::json;
///
/// assert_eq!(Expressions.test("age >= 18 && item.name.length > 0", &json!({"age": 20, "name": "Ada"})), Ok(true));
/// assert!(Expressions.test("age >=", &json!({})).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Expressions;

impl ExpressionEvaluator for Expressions {
    fn test(&self, expression: &str, item: &Value) -> Result<bool, String> {
        let expression = Expr::parse(expression).map_err(|error| error.to_string())?;
        expression.test(&Item(item)).map_err(|error| error.to_string())
    }
}

struct Item<'v>(&'v Value);

impl Scope for Item<'_> {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        let whole = || (name == "item").then_some((Cow::Borrowed(self.0), 0));
        self.0.find(name, keys).or_else(whole)
    }

    fn available(&self) -> Vec<String> {
        self.0.available().into_iter().chain(["item".to_owned()]).collect()
    }
}
