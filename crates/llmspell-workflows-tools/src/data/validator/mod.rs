//! Validates data against rules for its fields or a JSON Schema.

mod format;
mod rule;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::schema_check::{GivenSchema, Violations, violation_schema};
use super::support::{
    CANCEL_EVERY, blocking, check_cancelled, data_spec, invalid, json_or_text, kind_of, object_schema, read,
};
use crate::{Tool, ToolContext, ToolError, ToolSpec};

/// Validates data and lists everything that is wrong at once.
///
/// `rules` has, for each field path, a type (`email, string, integer, number, boolean, url, date, uuid, array,
/// object`) or an object of `type, required, min, max, min_length, max_length, pattern, enum, message`. A field may be
/// missing or null unless it is `required`. `input` is then an object or an array of objects (or the JSON text of
/// either), where each item is checked. `schema` is a JSON Schema instead, draft 7 unless it says otherwise, for any
/// value, taken as it is.
///
/// The result is `{valid, errors: [{path, rule, message, value}], checked, truncated}`. `checked` counts the tests that
/// were made: 1 for a schema, and for rules each rule of each field that is there. With rules `path` is written like
/// `[3].address.city`, with a schema it is a JSON Pointer and `schema_path` says which keyword it was.
pub(crate) struct DataValidator {
    spec: ToolSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    input: Value,
    rules: Option<Map<String, Value>>,
    schema: Option<Value>,
}

impl DataValidator {
    pub(crate) fn new() -> Self {
        let parameters = json!({
            "input": { "description": "What is validated" },
            "rules": rule::rules_schema(),
            "schema": { "type": ["object", "boolean"], "description": "A JSON Schema, draft 7 unless it says" },
        });
        let mut parameters = object_schema(&["input"], parameters);
        parameters["oneOf"] = json!([{ "required": ["rules"] }, { "required": ["schema"] }]);
        let result = json!({
            "valid": { "type": "boolean" },
            "errors": {
                "type": "array",
                "items": violation_schema(&json!({ "schema_path": { "type": "string" } })),
            },
            "checked": { "type": "integer", "minimum": 0, "description": "How many tests were made" },
            "truncated": { "type": "boolean", "description": "Whether there were more errors than are listed" },
        });
        Self {
            spec: data_spec(
                "data_validator",
                "Validates data against rules for its fields or a JSON Schema, with all errors at once.",
                parameters,
                object_schema(&["valid", "errors", "checked", "truncated"], result),
            ),
        }
    }
}

#[async_trait]
impl Tool for DataValidator {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        blocking(context, |token| {
            let (violations, checked) = match (parameters.rules, parameters.schema) {
                (Some(rules), None) => by_rules(rules, parameters.input, token)?,
                (None, Some(schema)) => (GivenSchema::compile(&schema)?.check(&parameters.input), 1),
                _ => return Err(invalid("missing_parameter", "exactly one of `rules` and `schema` is needed")),
            };
            let Violations { listed, truncated } = violations;
            let valid = listed.is_empty();
            Ok(json!({ "valid": valid, "errors": listed, "checked": checked, "truncated": truncated }))
        })
        .await
    }
}

fn by_rules(
    rules: Map<String, Value>,
    input: Value,
    token: &CancellationToken,
) -> Result<(Violations, u64), ToolError> {
    let rules = rule::rules(rules)?;
    let mut violations = Violations::default();
    let mut checked = 0;
    let input = json_or_text(input)?;
    let items = match &input {
        Value::Object(_) => std::slice::from_ref(&input),
        Value::Array(items) => items,
        other => {
            let message = format!("`input` is {}; rules are for an object or an array of objects", kind_of(other));
            return Err(invalid("invalid_input", message));
        }
    };
    for (index, item) in items.iter().enumerate() {
        if index.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        let place = if input.is_array() { format!("[{index}]") } else { String::new() };
        if item.is_object() {
            checked += rules.iter().map(|rule| rule.check(item, &place, &mut violations)).sum::<u64>();
        } else {
            checked += 1;
            let message = format!("it is {}; rules are for objects", kind_of(item));
            let entry = [("path", place), ("rule", "object".to_owned()), ("message", message)];
            let entry = entry.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text)));
            violations.push(entry.collect(), Some(item));
        }
    }
    Ok((violations, checked))
}
