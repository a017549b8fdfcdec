//! Checks rules on data sets: uniqueness, referential integrity, value ranges, expressions.

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

/// Evaluates the expressions of `rule_engine`; their language is defined outside this crate.
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
    /// Evaluates `expression` for `item`; the error explains why the expression cannot be evaluated.
    fn test(&self, expression: &str, item: &Value) -> Result<bool, String>;
}

/// Checks rules on data sets, and reports which targets could and could not be checked.
///
/// `input` is an object, an array of objects, or the JSON text of either. An array of objects is a *collection*, named
/// by its path (`users`, `data.users`). Collections are found inside objects, but not inside the items of other
/// collections.
///
/// Each rule is a name, or an object with further settings:
///
/// - `uniqueness`: by name alone, each identifier of a collection (`id`, `_id`, `uuid`, `guid`, or `user_id` in
///   `users`) must be unique. With `{rule, fields, in}`, the combined values of `fields` must be unique.
/// - `referential_integrity`: by name alone, fields named `x_id`, `x_ids`, `xId` or `xIds` must refer to the `id` of an
///   item in the collection `x` or `xs`, which may be next to the referring collection or anywhere else; `parent_id`
///   refers to its own collection. With `{rule, field, references: {collection, field}, in}`, the values of `field`
///   must occur in the referenced field.
/// - `value_ranges`: by name alone, every field whose name has a known range (`age` 0–150, `percent` 0–100, `latitude`
///   ±90, `longitude` ±180, `month` 1–12, `probability` 0–1, `quantity` ≥ 0, …) must be within this range, and numeric
///   fields must not contain the text `NaN` or `Infinity`. With `{rule, field, min, max, in}`, the values of `field`
///   must be numbers within the bounds.
/// - `expression`: with `{rule, expression, in, message}`, the expression must be true for each item of the collection
///   `in`; without `in`, for each item if the input is an array, otherwise for the input itself. Requires an
///   [`ExpressionEvaluator`].
///
/// Null and missing values are never violations. `options` holds settings for rules given by name: `{"options":
/// {"uniqueness": {"fields": ["email"]}}}`.
///
/// The result is `{valid, complete, violations: [{path, rule, message, value}], truncated, checked: [{rule, target,
/// checkable, values, violations, reason}]}`; `complete` is true if everything could be checked.
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
    /// Creates the tool; without `expressions`, expression rules are rejected.
    pub(crate) fn new(expressions: Option<Arc<dyn ExpressionEvaluator>>) -> Self {
        let violation = violation_schema(&Value::Object(Map::new()));
        Self {
            spec: data_spec(
                "rule_engine",
                "Checks uniqueness, referential integrity, value ranges and expressions on data sets.",
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
                let message = format!("`input` must be an object or an array of objects, got {}", kind_of(&input));
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
            Rule::Uniqueness { fields: Some(fields), .. } => uniqueness::check_fields(&chosen, fields, &mut report),
            Rule::Uniqueness { fields: None, .. } => uniqueness::check_identifiers(&chosen, &mut report),
            Rule::ReferentialIntegrity { reference: Some(reference), .. } => {
                let target = Collection::at(&all, &reference.collection)?;
                integrity::check_reference(&chosen, &reference.field, target, &reference.key, &mut report);
            }
            Rule::ReferentialIntegrity { reference: None, .. } => {
                integrity::check_named_references(&chosen, &all, &mut report);
            }
            Rule::ValueRanges { range: Some((field, bounds)), .. } => {
                ranges::check_field(&chosen, whole, field, bounds, &mut report);
            }
            Rule::ValueRanges { range: None, .. } => ranges::check_known_fields(input, &mut report),
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
            collection.items.iter().enumerate().map(|(index, item)| (collection.item_path(index), item)).collect()
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
    for (path, item) in items {
        check_cancelled(token)?;
        check.count_value();
        let holds = evaluator.test(expression, item).map_err(|why| {
            let at = if path.is_empty() { "the input" } else { &path };
            invalid("expression_failed", format!("cannot evaluate `{expression}` for {at}: {why}"))
        })?;
        if !holds {
            let message = message.map_or_else(|| format!("`{expression}` is false"), str::to_owned);
            check.add_violation(&path, &message, Some(item));
        }
    }
    check.finish();
    Ok(())
}

fn no_expressions() -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "no_expressions",
        "cannot check `expression` rules: this registry has no expression evaluator",
    )
    .with_help("pass an evaluator when registering the tools")
}
