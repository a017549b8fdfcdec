//! Validates data against rules for its fields or against a JSON Schema.

mod format;
mod rule;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::schema_check::{CompiledSchema, Violations, violation_schema};
use super::support::{
    CANCEL_EVERY, blocking, check_cancelled, data_spec, invalid, json_or_text, kind_of, object_schema, read,
};
use crate::{Tool, ToolContext, ToolError, ToolSpec};

/// Validates data and reports all errors together.
///
/// `rules` maps each field path to a type (`email, string, integer, number, boolean, url, date, uuid, array, object`)
/// or to an object with `type, required, min, max, min_length, max_length, pattern, enum, message`. A field may be
/// missing or null unless it is `required`. With rules, `input` is an object or an array of objects (or the JSON text
/// of either), and each item is checked. Alternatively, `schema` is a JSON Schema, which uses draft 7 unless `$schema`
/// names another draft; then `input` may be any value, and a string is not parsed as JSON.
///
/// Invalid data is an error, `invalid_data`, whose details are the result; with `on_invalid: report` it is a result like
/// any other.
///
/// The result is `{valid, errors: [{path, rule, message, value}], checked, truncated}`. `checked` is the number of
/// checks: 1 for a schema; with rules, each rule of each existing field counts as one check. With rules, `path` has the
/// form `[3].address.city`; with a schema, it is a JSON Pointer, and `schema_path` names the keyword.
pub(crate) struct DataValidator {
    spec: ToolSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    input: Value,
    rules: Option<Map<String, Value>>,
    schema: Option<Value>,
    #[serde(default)]
    on_invalid: OnInvalid,
}

/// What happens if the data is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnInvalid {
    #[default]
    Fail,
    Report,
}

impl DataValidator {
    pub(crate) fn new() -> Self {
        let parameters = json!({
            "input": { "description": "The data to validate" },
            "rules": rule::rules_schema(),
            "on_invalid": {
                "enum": ["fail", "report"],
                "default": "fail",
                "description": "Whether invalid data is an error, or a result with `valid: false`",
            },
            "schema": { "type": ["object", "boolean"], "description": "A JSON Schema; draft 7 unless `$schema` names another draft" },
        });
        let mut parameters = object_schema(&["input"], parameters);
        parameters["oneOf"] = json!([{ "required": ["rules"] }, { "required": ["schema"] }]);
        let result = json!({
            "valid": { "type": "boolean" },
            "errors": {
                "type": "array",
                "items": violation_schema(&json!({ "schema_path": { "type": "string" } })),
            },
            "checked": { "type": "integer", "minimum": 0, "description": "The number of checks made" },
            "truncated": { "type": "boolean", "description": "Whether there are more errors than listed" },
        });
        Self {
            spec: data_spec(
                "data_validator",
                "Validates data against rules for its fields or a JSON Schema; invalid data is an error that lists all violations.",
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
        let fails = parameters.on_invalid == OnInvalid::Fail;
        blocking(context, move |token| {
            let (violations, checked) = match (parameters.rules, parameters.schema) {
                (Some(rules), None) => check_rules(rules, parameters.input, token)?,
                (None, Some(schema)) => (CompiledSchema::compile(&schema)?.check(&parameters.input)?, 1),
                _ => return Err(invalid("missing_parameter", "exactly one of `rules` and `schema` is required")),
            };
            let Violations { listed, truncated } = violations;
            let valid = listed.is_empty();
            let message = listed.first().map(|first| summary(first, listed.len(), truncated));
            let result = json!({ "valid": valid, "errors": listed, "checked": checked, "truncated": truncated });
            match message.filter(|_| fails) {
                Some(message) => Err(invalid("invalid_data", message)
                    .with_details(result)
                    .with_help("`on_invalid: report` makes this a result with `valid: false`")),
                None => Ok(result),
            }
        })
        .await
    }
}

/// Describes `count` violations by the first one.
fn summary(first: &Value, count: usize, truncated: bool) -> String {
    let text = |name: &str| first[name].as_str().unwrap_or_default();
    let place = match text("path") {
        "" => String::new(),
        path => format!("`{path}`: "),
    };
    let more = match (count, truncated) {
        (1, false) => String::new(),
        (count, false) => format!(" ({} more)", count - 1),
        (count, true) => format!(" (more than {} more)", count - 1),
    };
    format!("the data is invalid: {place}{}{more}", text("message"))
}

fn check_rules(
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
            let message =
                format!("`input` must be an object or an array of objects for `rules`, got {}", kind_of(other));
            return Err(invalid("invalid_input", message));
        }
    };
    for (index, item) in items.iter().enumerate() {
        if index.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        let path = if input.is_array() { format!("[{index}]") } else { String::new() };
        if item.is_object() {
            checked += rules.iter().map(|rule| rule.check(item, &path, &mut violations)).sum::<u64>();
        } else {
            checked += 1;
            let message = format!("expected an object, got {}", kind_of(item));
            let entry = [("path", path), ("rule", "object".to_owned()), ("message", message)];
            let entry = entry.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text)));
            violations.push(entry.collect(), Some(item));
        }
    }
    Ok((violations, checked))
}
