use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{Category, Permission, SecurityLevel, ToolContext, ToolError, ToolErrorClass, ToolSpec};

/// The longest text that a data tool takes or gives: what a step may put out.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many items go by between two looks at the cancellation token.
pub(crate) const CANCEL_EVERY: usize = 256;

/// The specification of a tool that only computes on data.
pub(crate) fn data_spec(name: &'static str, description: &'static str, parameters: Value, result: Value) -> ToolSpec {
    ToolSpec {
        name,
        aliases: &[],
        description,
        category: Category::Data,
        security_level: SecurityLevel::Safe,
        permissions: &[],
        parameters,
        result,
    }
}

/// The same for one that may also read a file.
pub(crate) fn reading_spec(
    name: &'static str,
    description: &'static str,
    parameters: Value,
    result: Value,
) -> ToolSpec {
    ToolSpec {
        security_level: SecurityLevel::Restricted,
        permissions: &[Permission::FilesRead],
        ..data_spec(name, description, parameters, result)
    }
}

/// A closed draft 7 schema of an object.
pub(crate) fn object_schema(required: &[&str], properties: Value) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// What one operation takes beside `operation`: its name, what it needs, what it may have.
pub(crate) type Takes = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Adds to a schema what each operation needs, and that it may have nothing that means nothing to it.
pub(crate) fn per_operation(mut schema: Value, operations: &[Takes]) -> Value {
    let names: Vec<String> = match schema["properties"].as_object() {
        Some(properties) => properties.keys().cloned().collect(),
        None => Vec::new(),
    };
    let branches = operations.iter().map(|(operation, needed, optional)| {
        let foreign = names.iter().map(String::as_str).filter(|name| !takes(name, needed, optional));
        let foreign: Map<String, Value> = foreign.map(|name| (name.to_owned(), Value::Bool(false))).collect();
        json!({
            "if": { "properties": { "operation": { "const": operation } }, "required": ["operation"] },
            "then": { "required": needed, "properties": foreign },
        })
    });
    schema["allOf"] = branches.collect();
    schema
}

/// The same check for a call that does not come through the registry.
pub(crate) fn check_operation(parameters: &Value, operations: &[Takes]) -> Result<(), ToolError> {
    let found = operations.iter().find(|(name, ..)| parameters["operation"] == **name);
    let (Some((operation, needed, optional)), Some(given)) = (found, parameters.as_object()) else {
        return Ok(());
    };
    match given.keys().find(|name| !takes(name, needed, optional)) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<&str> = needed.iter().chain(*optional).copied().collect();
            Err(invalid("unused_parameter", format!("`{name}` means nothing to `{operation}`"))
                .with_help(format!("it takes `{}`", all.join("`, `"))))
        }
    }
}

fn takes(name: &str, needed: &[&str], optional: &[&str]) -> bool {
    name == "operation" || needed.contains(&name) || optional.contains(&name)
}

/// Reads parameters into their typed form.
///
/// A call through the registry was checked against the schema before; this covers a direct one.
pub(crate) fn read<T: DeserializeOwned>(parameters: Value) -> Result<T, ToolError> {
    serde_json::from_value(parameters)
        .map_err(|error| invalid("invalid_parameters", format!("the parameters do not fit: {error}")))
}

/// An error of class validation.
pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Validation, code, message)
}

/// A limit that was reached.
pub(crate) fn too_large(code: &'static str, message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Limit, code, message)
}

/// The value of a parameter that this operation cannot do without.
pub(crate) fn needed<T>(value: Option<T>, parameter: &str, operation: &str) -> Result<T, ToolError> {
    value.ok_or_else(|| invalid("missing_parameter", format!("`{operation}` needs the parameter `{parameter}`")))
}

/// A JSON value as it is, or the one that a text holds.
pub(crate) fn json_or_text(input: Value) -> Result<Value, ToolError> {
    match input {
        Value::String(text) => parse_json(&text),
        other => Ok(other),
    }
}

/// Parses one JSON text.
pub(crate) fn parse_json(text: &str) -> Result<Value, ToolError> {
    check_text(text.len())?;
    serde_json::from_str(without_mark(text))
        .map_err(|error| invalid("invalid_json", format!("the text is no JSON: {error}")))
}

/// A text without the byte order mark that editors on Windows put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Refuses a text that is longer than [`TEXT_BYTES_MAX`].
pub(crate) fn check_text(bytes: usize) -> Result<(), ToolError> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(too_large("input_too_large", format!("the text has {bytes} bytes; at most {TEXT_BYTES_MAX} are allowed")))
}

/// The items of an array of objects, or of a single object.
///
/// The flag says whether it was an array, so that the answer can have the form of the question.
pub(crate) fn objects(input: Value) -> Result<(Vec<Map<String, Value>>, bool), ToolError> {
    match json_or_text(input)? {
        Value::Object(object) => Ok((vec![object], false)),
        Value::Array(items) => {
            let mut objects = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                match item {
                    Value::Object(object) => objects.push(object),
                    other => {
                        let kind = kind_of(&other);
                        return Err(invalid(
                            "invalid_input",
                            format!("item {index} of `input` is {kind}; items are objects"),
                        ));
                    }
                }
            }
            Ok((objects, true))
        }
        other => Err(invalid(
            "invalid_input",
            format!("`input` is {}; it should be an object or an array of objects", kind_of(&other)),
        )),
    }
}

/// What kind of JSON value it is, with its article.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Runs `work` where it may block, and hands it the call's cancellation token.
pub(crate) async fn blocking<T: Send + 'static>(
    context: &ToolContext,
    work: impl FnOnce(&CancellationToken) -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let token = context.cancellation.clone();
    crate::blocking::blocking(move || {
        check_cancelled(&token)?;
        work(&token)
    })
    .await
}

/// Stops work whose call was cancelled.
pub(crate) fn check_cancelled(token: &CancellationToken) -> Result<(), ToolError> {
    if token.is_cancelled() { Err(ToolError::cancelled()) } else { Ok(()) }
}
