//! Rules over whole data sets: uniqueness, referential integrity, value ranges, expressions.

mod collection;
mod integrity;
mod ranges;
mod report;
mod rule;
#[cfg(test)]
mod tests;
mod uniqueness;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::schema_check::violation_schema;
use super::support::{blocking, check_cancelled, data_spec, invalid, json_or_text, kind_of, object_schema, read};
use crate::{Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec};
use collection::Collection;
use report::Report;
use rule::Rule;

/// Answers the expressions of `rule_engine`, whose language lives outside this crate.
///
/// ```
/// use llmspell_workflows_tools::ExpressionEvaluator;
/// use serde_json::Value;
///
/// struct HasField;
///
/// impl ExpressionEvaluator for HasField {
///     fn test(&self, expression: &str, item: &Value) -> Result<bool, String> {
///         Ok(item.get(expression).is_some())
///     }
/// }
/// ```
pub trait ExpressionEvaluator: Send + Sync {
    /// Whether `expression` holds for `item`; the error says why that cannot be known.
    fn test(&self, expression: &str, item: &Value) -> Result<bool, String>;
}

/// Checks rules over whole data sets and reports what was and what was not checkable.
///
/// `input` is an object, an array of objects, or the JSON text of either. An array of objects is a *collection*, named
/// by its path (`users`, `data.users`); collections are found through objects, not inside the items of others.
///
/// Each rule is a name, or an object with more to it:
///
/// - `uniqueness`: by itself, the identifiers of each collection (`id`, `_id`, `uuid`, `guid`, and the `user_id` of
///   `users`) are unique, each by itself. `{rule, fields, in}`: the values of `fields` together are unique.
/// - `referential_integrity`: by itself, the fields named `x_id`, `x_ids`, `xId`, `xIds` point at the `id` of items of
///   the collection `x` or `xs`, beside it or anywhere; `parent_id` at its own collection. `{rule, field, references:
///   {collection, field}, in}`: the values of `field` are there.
/// - `value_ranges`: by itself, every field whose name has a known range (`age` 0–150, `percent` 0–100, `latitude` ±90,
///   `longitude` ±180, `month` 1–12, `probability` 0–1, `quantity` ≥ 0, …) is within it, and fields that hold numbers
///   hold no `NaN` or `Infinity`. `{rule, field, min, max, in}`: the values of `field` are numbers within bounds.
/// - `expression`: `{rule, expression, in, message}`: the expression holds for each item of the collection `in`; without
///   `in` for each item of an input that is an array, else for the input itself. Needs an [`ExpressionEvaluator`].
///
/// Null and missing values are never violations. `options` adds to the rules that are given by name: `{"options":
/// {"uniqueness": {"fields": ["email"]}}}`.
///
/// The result is `{valid, complete, violations: [{path, rule, message, value}], truncated, checked: [{rule, target,
/// checkable, values, violations, reason}]}`; `complete` says whether everything could be checked.
pub(crate) struct RuleEngine {
    spec: ToolSpec,
    expressions: Option<Arc<dyn ExpressionEvaluator>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    input: Value,
    rules: Vec<Value>,
    #[serde(default)]
    options: Map<String, Value>,
}

impl RuleEngine {
    /// With `expressions`, or without, where rules of that kind are refused.
    pub(crate) fn new(expressions: Option<Arc<dyn ExpressionEvaluator>>) -> Self {
        let violation = violation_schema(&Value::Object(Map::new()));
        Self {
            spec: data_spec(
                "rule_engine",
                "Checks uniqueness, referential integrity, value ranges and expressions over whole data sets.",
                object_schema(&["input", "rules"], rule::parameters_schema()),
                object_schema(
                    &["valid", "complete", "violations", "truncated", "checked"],
                    report::result_properties(&violation),
                ),
            ),
            expressions,
        }
    }
}

#[async_trait]
impl Tool for RuleEngine {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let rules = rule::rules(parameters.rules, parameters.options)?;
        let expressions = self.expressions.clone();
        blocking(context, move |token| {
            let input = json_or_text(parameters.input)?;
            if !input.is_object() && !input.is_array() {
                let message = format!("`input` is {}; it should be an object or an array of objects", kind_of(&input));
                return Err(invalid("invalid_input", message));
            }
            check(&input, rules, expressions.as_deref(), token)
        })
        .await
    }
}

fn check(
    input: &Value,
    rules: Vec<Rule>,
    expressions: Option<&dyn ExpressionEvaluator>,
    token: &CancellationToken,
) -> Result<Value, ToolError> {
    let all = Collection::find_all(input);
    let mut report = Report::default();
    for rule in rules {
        check_cancelled(token)?;
        let within = rule.within();
        let chosen: Vec<&Collection<'_>> = match within {
            Some(path) => vec![Collection::at(&all, path)?],
            None => all.iter().collect(),
        };
        let whole = within.is_none().then_some(input);
        match &rule {
            Rule::Uniqueness { fields: Some(fields), .. } => uniqueness::given(&chosen, fields, &mut report),
            Rule::Uniqueness { fields: None, .. } => uniqueness::by_itself(&chosen, &mut report),
            Rule::ReferentialIntegrity { reference: Some(reference), .. } => {
                let target = Collection::at(&all, &reference.collection)?;
                integrity::given(&chosen, &reference.field, target, &reference.key, &mut report);
            }
            Rule::ReferentialIntegrity { reference: None, .. } => integrity::by_itself(&chosen, &all, &mut report),
            Rule::ValueRanges { range: Some((field, bounds)), .. } => {
                ranges::given(&chosen, whole, field, bounds, &mut report);
            }
            Rule::ValueRanges { range: None, .. } => ranges::by_itself(input, &mut report),
            Rule::Expression { expression, message, .. } => {
                let evaluator = expressions.ok_or_else(no_expressions)?;
                let items = items_of(input, within.map(|_| chosen[0]));
                test_all(evaluator, expression, message.as_deref(), items, token, &mut report)?;
            }
        }
    }
    Ok(report.into_result())
}

fn items_of<'v>(input: &'v Value, within: Option<&Collection<'v>>) -> Vec<(String, &'v Value)> {
    match (within, input) {
        (Some(collection), _) => {
            collection.items.iter().enumerate().map(|(index, item)| (collection.place(index), item)).collect()
        }
        (None, Value::Array(items)) => {
            items.iter().enumerate().map(|(index, item)| (format!("[{index}]"), item)).collect()
        }
        (None, one) => vec![(String::new(), one)],
    }
}

fn test_all(
    evaluator: &dyn ExpressionEvaluator,
    expression: &str,
    message: Option<&str>,
    items: Vec<(String, &Value)>,
    token: &CancellationToken,
    report: &mut Report,
) -> Result<(), ToolError> {
    let mut check = report.check("expression", expression);
    for (place, item) in items {
        check_cancelled(token)?;
        check.looked_at();
        let holds = evaluator.test(expression, item).map_err(|why| {
            let at = if place.is_empty() { "the input" } else { &place };
            invalid("expression_failed", format!("`{expression}` cannot be evaluated for {at}: {why}"))
        })?;
        if !holds {
            let message = message.map_or_else(|| format!("`{expression}` does not hold"), str::to_owned);
            check.violated(&place, &message, Some(item));
        }
    }
    check.done();
    Ok(())
}

fn no_expressions() -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "no_expressions",
        "rules of the kind `expression` cannot be checked, since this registry has no evaluator of expressions",
    )
    .with_help("give one when the tools are registered")
}
