use std::io::Write as _;
use std::path::Path;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::atomic::replace;
use super::file_spec;
use crate::data::support::{CANCEL_EVERY, blocking, check_cancelled, invalid, kind_of, object_schema, read, too_large};
use crate::{Access, Services, Tool, ToolContext, ToolError, ToolSpec};

/// Writes data to a file atomically, creating missing parent directories.
///
/// - `jsonl`: each element of an array as a line of JSON; any other value as a single line.
/// - `json`: the value as indented JSON.
/// - `csv`: an array of objects (or a single object), with their fields as columns in order of first appearance; or an
///   array of arrays, without a header. Nested values are written as JSON, and null as an empty cell.
/// - `text`: a string unchanged, or a number or boolean as text.
///
/// Without `format`, the file extension determines the format. The result is `{path, format, bytes, items, created}`.
pub(crate) struct FileWriter {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    path: String,
    format: Option<Format>,
    input: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Jsonl,
    Json,
    Csv,
    Text,
}

impl FileWriter {
    pub(crate) fn new(services: Services) -> Self {
        let parameters = json!({
            "path": { "type": "string", "minLength": 1, "description": "The file; missing parent directories are created" },
            "format": { "enum": ["jsonl", "json", "csv", "text"], "description": "The format; by default, the file extension determines it" },
            "input": { "description": "The data to write" },
        });
        let count = json!({ "type": "integer", "minimum": 0 });
        let result = json!({
            "path": { "type": "string" },
            "format": { "enum": ["jsonl", "json", "csv", "text"] },
            "bytes": count,
            "items": { "type": "integer", "minimum": 0, "description": "The number of jsonl lines or csv rows; otherwise 1" },
            "created": { "type": "boolean", "description": "Whether the file is new" },
        });
        Self {
            spec: file_spec(
                "file_writer",
                "Writes data to a file as JSON Lines, JSON, CSV or text, atomically.",
                object_schema(&["path", "input"], parameters),
                object_schema(&["path", "format", "bytes", "items", "created"], result),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for FileWriter {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| run(parameters, &services, token)).await
    }
}

fn run(parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let Parameters { path, format, input } = parameters;
    let format = match format {
        Some(format) => format,
        None => Format::of_path(&path)?,
    };
    let file = services.sandbox.locate(&path, Access::Write)?;
    let (content, items) = format.write(input, token)?;
    let bytes_max = services.policy.file_bytes_max;
    if content.len() as u64 > bytes_max {
        let message = format!("`{path}` would be {} bytes long; the limit is {bytes_max}", content.len());
        return Err(too_large("file_too_large", message).with_help("raise `file_bytes_max` in the policy"));
    }
    file.create_parents()?;
    let created = replace(&file, |new| new.write_all(&content).map_err(|error| file.error("write", &error)))?;
    Ok(json!({ "path": path, "format": format.name(), "bytes": content.len(), "items": items, "created": created }))
}

impl Format {
    fn of_path(path: &str) -> Result<Self, ToolError> {
        let extension = Path::new(path).extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("txt" | "md" | "log") => Ok(Self::Text),
            _ => Err(invalid(
                "missing_parameter",
                format!("`format` is required: the name `{path}` does not imply a format"),
            )
            .with_help("use jsonl, json, csv or text")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }

    /// Returns the content of the file and the number of items in it.
    fn write(self, input: Value, token: &CancellationToken) -> Result<(Vec<u8>, usize), ToolError> {
        match self {
            Self::Jsonl => {
                let items = match input {
                    Value::Array(items) => items,
                    one => vec![one],
                };
                let mut content = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    if index.is_multiple_of(CANCEL_EVERY) {
                        check_cancelled(token)?;
                    }
                    serde_json::to_writer(&mut content, item).expect("writing JSON to memory cannot fail");
                    content.push(b'\n');
                }
                Ok((content, items.len()))
            }
            Self::Json => {
                let mut content = serde_json::to_vec_pretty(&input).expect("writing JSON to memory cannot fail");
                content.push(b'\n');
                Ok((content, 1))
            }
            Self::Csv => csv(input, token),
            Self::Text => match input {
                Value::String(text) => Ok((text.into_bytes(), 1)),
                plain @ (Value::Number(_) | Value::Bool(_)) => Ok((plain.to_string().into_bytes(), 1)),
                other => Err(invalid(
                    "invalid_input",
                    format!("`input` must be a string for format `text`, got {}", kind_of(&other)),
                )
                .with_help("`format: json` writes any value")),
            },
        }
    }
}

fn csv(input: Value, token: &CancellationToken) -> Result<(Vec<u8>, usize), ToolError> {
    let items = match input {
        Value::Array(items) => items,
        object @ Value::Object(_) => vec![object],
        other => {
            let message =
                format!("`input` must be an array of objects or of arrays for format `csv`, got {}", kind_of(&other));
            return Err(invalid("invalid_input", message));
        }
    };
    let columns = columns(&items);
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let failed = |error: csv::Error| invalid("invalid_input", format!("cannot write a row: {error}"));
    if !columns.is_empty() {
        writer.write_record(&columns).map_err(failed)?;
    }
    for (index, item) in items.iter().enumerate() {
        if index.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        let row: Vec<String> = match item {
            Value::Object(object) => columns.iter().map(|column| cell(object.get(column))).collect(),
            Value::Array(cells) if columns.is_empty() => cells.iter().map(|value| cell(Some(value))).collect(),
            other => {
                let expected = if columns.is_empty() { "an array" } else { "an object" };
                let message =
                    format!("item {index} of `input` must be {expected} like the other items, got {}", kind_of(other));
                return Err(invalid("invalid_input", message));
            }
        };
        writer.write_record(&row).map_err(failed)?;
    }
    let content = writer.into_inner().map_err(|error| invalid("invalid_input", error.to_string()))?;
    Ok((content, items.len()))
}

/// Returns the names of all fields in order of first appearance.
fn columns(items: &[Value]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in items.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if seen.insert(name) {
            columns.push(name.clone());
        }
    }
    columns
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
