use llmspell_workflows_basic::JsonError;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{Category, Permission, SecurityLevel, ToolContext, ToolError, ToolErrorClass, ToolSpec};

/// The maximum size of the text that a data tool reads or returns, in bytes; the same as the limit on a step's output.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The number of items processed between two checks of the cancellation token.
pub(crate) const CANCEL_EVERY: usize = 256;

/// Creates the spec of a tool that only processes data.
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

/// Creates the spec of a tool that may also read files.
pub(crate) fn file_reader_spec(
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

/// Creates a draft 7 schema of an object without additional properties.
pub(crate) fn object_schema(required: &[&str], properties: Value) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The name of an operation, its required parameters, and its optional parameters.
pub(crate) type OperationParameters = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Extends a schema so that each operation requires its own parameters and rejects the parameters of other operations.
pub(crate) fn per_operation(mut schema: Value, operations: &[OperationParameters]) -> Value {
    let names: Vec<String> = match schema["properties"].as_object() {
        Some(properties) => properties.keys().cloned().collect(),
        None => Vec::new(),
    };
    let branches = operations.iter().map(|(operation, required, optional)| {
        let foreign = names.iter().map(String::as_str).filter(|name| !accepts(name, required, optional));
        let foreign: Map<String, Value> = foreign.map(|name| (name.to_owned(), Value::Bool(false))).collect();
        json!({
            "if": { "properties": { "operation": { "const": operation } }, "required": ["operation"] },
            "then": { "required": required, "properties": foreign },
        })
    });
    schema["allOf"] = branches.collect();
    schema
}

/// Performs the same check as [`per_operation`], for calls that bypass the registry.
pub(crate) fn check_operation(parameters: &Value, operations: &[OperationParameters]) -> Result<(), ToolError> {
    let found = operations.iter().find(|(name, ..)| parameters["operation"] == **name);
    let (Some((operation, required, optional)), Some(given)) = (found, parameters.as_object()) else {
        return Ok(());
    };
    match given.keys().find(|name| !accepts(name, required, optional)) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<&str> = required.iter().chain(*optional).copied().collect();
            Err(invalid("unused_parameter", format!("`{operation}` does not accept the parameter `{name}`"))
                .with_help(format!("it accepts `{}`", all.join("`, `"))))
        }
    }
}

fn accepts(name: &str, required: &[&str], optional: &[&str]) -> bool {
    name == "operation" || required.contains(&name) || optional.contains(&name)
}

/// Deserializes the parameters of a call.
///
/// The registry has already checked the parameters against the schema; the error here is for calls that bypass the
/// registry.
pub(crate) fn read<T: DeserializeOwned>(parameters: Value) -> Result<T, ToolError> {
    serde_json::from_value(parameters)
        .map_err(|error| invalid("invalid_parameters", format!("invalid parameters: {error}")))
}

/// Reads an explicit null as a value so that it differs from a missing field.
pub(crate) fn some_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Creates a validation error.
pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Validation, code, message)
}

/// Creates an error for an exceeded limit.
pub(crate) fn too_large(code: &'static str, message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Limit, code, message)
}

/// Returns the value of a parameter that `operation` requires.
pub(crate) fn require<T>(value: Option<T>, parameter: &str, operation: &str) -> Result<T, ToolError> {
    value.ok_or_else(|| invalid("missing_parameter", format!("`{operation}` requires the parameter `{parameter}`")))
}

/// Parses a string as JSON, and returns any other value unchanged.
pub(crate) fn json_or_text(input: Value) -> Result<Value, ToolError> {
    match input {
        Value::String(text) => parse_json(&text),
        other => Ok(other),
    }
}

/// Parses JSON text; a number that would be rounded is an error.
pub(crate) fn parse_json(text: &str) -> Result<Value, ToolError> {
    check_text_size(text.len())?;
    let text = strip_byte_order_mark(text).as_bytes();
    llmspell_workflows_basic::parse_json_exactly(text).map_err(|error| json_error("the text", &error))
}

/// Creates the error for a rejected JSON text; `what` names the text.
pub(crate) fn json_error(what: &str, error: &JsonError) -> ToolError {
    let message = match error {
        JsonError::Syntax(_) => format!("{what} is {error}"),
        _ => format!("cannot parse {what}: {error}"),
    };
    invalid(error.code(), message)
}

/// Removes the byte order mark that editors on Windows put at the start of a file.
pub(crate) fn strip_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Fails if `bytes`, the length of a text, exceeds [`TEXT_BYTES_MAX`].
pub(crate) fn check_text_size(bytes: usize) -> Result<(), ToolError> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(too_large("input_too_large", format!("the text is {bytes} bytes long; the limit is {TEXT_BYTES_MAX}")))
}

/// Returns the items of an array of objects, or a single object as one item.
///
/// `name` is the parameter's name in errors. The flag is true if the input was an array, so that
/// callers can return a result of the same shape.
pub(crate) fn objects(input: Value, name: &str) -> Result<(Vec<Map<String, Value>>, bool), ToolError> {
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
                            format!("item {index} of `{name}` must be an object, got {kind}"),
                        ));
                    }
                }
            }
            Ok((objects, true))
        }
        other => Err(invalid(
            "invalid_input",
            format!("`{name}` must be an object or an array of objects, got {}", kind_of(&other)),
        )),
    }
}

/// Returns the JSON type of a value with an article, for messages.
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

/// Runs `work` on a thread that may block, with the call's cancellation token.
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

/// Fails if the call was cancelled.
pub(crate) fn check_cancelled(token: &CancellationToken) -> Result<(), ToolError> {
    if token.is_cancelled() { Err(ToolError::cancelled()) } else { Ok(()) }
}
