//! Validates data against rules for its fields or against a JSON Schema.

mod format;
mod rows;
mod rule;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::row_files::{
    self, Files, InputPaths, input_path_schema, needs, one_input, path_schema, rows_spec, with_conditions,
};
use super::schema_check::{CompiledSchema, Violations, violation_schema};
use super::support::{
    CANCEL_EVERY, blocking, check_cancelled, invalid, json_or_text, kind_of, object_schema, read, some_value,
};
use crate::{Permission, Services, Tool, ToolContext, ToolError, ToolSpec};

/// Validates data and reports all errors together.
///
/// `rules` maps each field path to a type (`email, string, integer, number, boolean, url, date,
/// uuid, array, object`) or to an object with `type, required, min, max, min_length, max_length,
/// pattern, enum, message`. A field may be missing or null unless it is `required`. With rules,
/// `input` is an object or an array of objects (or the JSON text of either), and each item is
/// checked. Alternatively, `schema` is a JSON Schema, which uses draft 7 unless `$schema` names
/// another draft. With a schema, `input` may be any value, and a string is not parsed as JSON.
///
/// Invalid data causes the error `invalid_data`, whose details are the result. With
/// `on_invalid: report`, the call returns the result instead of an error.
///
/// The result is `{valid, errors: [{path, rule, message, value}], checked, truncated}`. `checked` is the number of
/// checks: 1 for a schema; with rules, each rule of each existing field counts as one check. With rules, `path` has the
/// form `[3].address.city`; with a schema, it is a JSON Pointer, and `schema_path` names the keyword.
///
/// With `input_path` instead of `input`, the rules or the schema apply to each row of a file, one
/// at a time. Each error has the `line` of its row, and the result also contains `rows`,
/// `valid_rows` and `invalid_rows`. Valid rows are written to the file `valid_path`, and invalid
/// rows to `invalid_path` as `{line, row, errors}`, with their `path` if there are several files.
/// Both files are complete even if the call then fails because of invalid data.
pub(crate) struct DataValidator {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default, deserialize_with = "some_value")]
    input: Option<Value>,
    input_path: Option<InputPaths>,
    valid_path: Option<String>,
    invalid_path: Option<String>,
    rules: Option<Map<String, Value>>,
    schema: Option<Value>,
    #[serde(default)]
    on_invalid: OnInvalid,
}

/// How to handle invalid data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnInvalid {
    #[default]
    Fail,
    Report,
}

impl DataValidator {
    pub(crate) fn new(services: Services) -> Self {
        let parameters = json!({
            "input": { "description": "The data to validate" },
            "input_path": input_path_schema(),
            "valid_path": path_schema("A `.jsonl` file for the valid rows of `input_path`"),
            "invalid_path": path_schema("A `.jsonl` file for the invalid rows of `input_path`, `{line, row, errors}`"),
            "rules": rule::rules_schema(),
            "on_invalid": {
                "enum": ["fail", "report"],
                "default": "fail",
                "description": "Whether invalid data is an error, or a result with `valid: false`",
            },
            "schema": { "type": ["object", "boolean"], "description": "A JSON Schema; draft 7 unless `$schema` names another draft" },
        });
        let conditions = [needs("valid_path", "input_path"), needs("invalid_path", "input_path")];
        let mut parameters = with_conditions(object_schema(&[], parameters), one_input().into_iter().chain(conditions));
        parameters["oneOf"] = json!([{ "required": ["rules"] }, { "required": ["schema"] }]);
        let result = json!({
            "valid": { "type": "boolean" },
            "errors": {
                "type": "array",
                "items": violation_schema(&json!({
                    "schema_path": { "type": "string" },
                    "line": { "type": "integer", "minimum": 1, "description": "The line of the row in the file" },
                })),
            },
            "checked": { "type": "integer", "minimum": 0, "description": "The number of checks made" },
            "truncated": { "type": "boolean", "description": "Whether there are more errors than listed" },
            "rows": { "type": "integer", "minimum": 0, "description": "The number of rows of the file" },
            "valid_rows": { "type": "integer", "minimum": 0 },
            "invalid_rows": { "type": "integer", "minimum": 0 },
            "valid_path": { "type": "string" },
            "invalid_path": { "type": "string" },
        });
        Self {
            spec: rows_spec(
                "data_validator",
                "Validates data against rules for its fields or a JSON Schema; invalid data is an error that lists all violations.",
                parameters,
                object_schema(&["valid", "errors", "checked", "truncated"], result),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for DataValidator {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn permissions(&self, parameters: &Value) -> &'static [Permission] {
        row_files::permissions(parameters)
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| validate(parameters, &services, token)).await
    }
}

fn validate(parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let Parameters { input, input_path, valid_path, invalid_path, rules, schema, on_invalid } = parameters;
    let checker = match (rules, schema) {
        (Some(rules), None) => Checker::Rules(rule::rules(rules)?),
        (None, Some(schema)) => Checker::Schema(Box::new(CompiledSchema::compile(&schema)?)),
        _ => return Err(invalid("missing_parameter", "exactly one of `rules` and `schema` is required")),
    };
    let result = match (input, input_path) {
        (Some(input), None) => {
            if valid_path.is_some() || invalid_path.is_some() {
                return Err(invalid("unused_parameter", "`valid_path` and `invalid_path` require `input_path`"));
            }
            let (Violations { listed, truncated }, checked) = checker.check_all(input, token)?;
            json!({ "valid": listed.is_empty(), "errors": listed, "checked": checked, "truncated": truncated })
        }
        (None, paths @ Some(_)) => {
            let written = [("valid_path", &valid_path), ("invalid_path", &invalid_path)];
            let files = Files::locate(services, &[("input_path", InputPaths::of(&paths))], &written)?;
            rows::validate(&checker, &files, token)?
        }
        _ => return Err(invalid("missing_parameter", "exactly one of `input` and `input_path` is required")),
    };
    let errors = result["errors"].as_array().map_or(&[][..], Vec::as_slice);
    match errors.first().filter(|_| on_invalid == OnInvalid::Fail) {
        None => Ok(result),
        Some(first) => {
            let message = summary(first, errors.len(), result["truncated"] == true);
            Err(invalid("invalid_data", message)
                .with_details(result)
                .with_help("`on_invalid: report` returns a result with `valid: false` instead"))
        }
    }
}

/// The rules or the schema to check data against.
enum Checker {
    Rules(Vec<rule::Rule>),
    Schema(Box<CompiledSchema>),
}

impl Checker {
    /// Checks an object, each object in an array, or (with a schema) any value, and returns the
    /// number of checks.
    fn check_all(&self, input: Value, token: &CancellationToken) -> Result<(Violations, u64), ToolError> {
        match self {
            Self::Rules(rules) => check_rules(rules, input, token),
            Self::Schema(schema) => Ok((schema.check(&input)?, 1)),
        }
    }

    /// Checks a single value, and returns the number of checks.
    fn check(&self, value: &Value) -> Result<(Violations, u64), ToolError> {
        match self {
            Self::Rules(rules) => {
                let mut violations = Violations::default();
                let checked = check_item(rules, value, String::new(), &mut violations);
                Ok((violations, checked))
            }
            Self::Schema(schema) => Ok((schema.check(value)?, 1)),
        }
    }
}

/// Summarizes `count` violations by describing the first one.
fn summary(first: &Value, count: usize, truncated: bool) -> String {
    let text = |name: &str| first[name].as_str().unwrap_or_default();
    let line = first["line"].as_u64().map_or(String::new(), |line| format!("line {line}: "));
    let place = match text("path") {
        "" => line,
        path => format!("{line}`{path}`: "),
    };
    let more = match (count, truncated) {
        (1, false) => String::new(),
        (count, false) => format!(" ({} more)", count - 1),
        (count, true) => format!(" (more than {} more)", count - 1),
    };
    format!("the data is invalid: {place}{}{more}", text("message"))
}

fn check_rules(rules: &[rule::Rule], input: Value, token: &CancellationToken) -> Result<(Violations, u64), ToolError> {
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
        checked += check_item(rules, item, path, &mut violations);
    }
    Ok((violations, checked))
}

/// Checks the item at `path`, and returns the number of checks.
fn check_item(rules: &[rule::Rule], item: &Value, path: String, violations: &mut Violations) -> u64 {
    if item.is_object() {
        return rules.iter().map(|rule| rule.check(item, &path, violations)).sum();
    }
    let message = format!("expected an object, got {}", kind_of(item));
    let entry = [("path", path), ("rule", "object".to_owned()), ("message", message)];
    let entry = entry.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text)));
    violations.push(entry.collect(), Some(item));
    1
}
