use std::io::Write as _;
use std::path::Path;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::atomic::{create_parents, replace};
use super::file_spec;
use crate::data::support::{CANCEL_EVERY, blocking, check_cancelled, invalid, kind_of, object_schema, read, too_large};
use crate::{Access, Services, Tool, ToolContext, ToolError, ToolSpec};

/// Writes data to a file as a whole or not at all, and makes the folders above it.
///
/// - `jsonl`: an array as one JSON value a line; any other value as one line.
/// - `json`: the value, indented.
/// - `csv`: an array of objects (or one), whose fields are the columns in order of first appearance, or an array of
///   arrays, without a header; what is nested is written as JSON, null as an empty cell.
/// - `text`: a string as it is, a number or boolean as its text.
///
/// Without `format` the path's ending decides. The result is `{path, format, bytes, items, created}`.
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
            "path": { "type": "string", "minLength": 1, "description": "The file; the folders above it are made" },
            "format": { "enum": ["jsonl", "json", "csv", "text"], "description": "By the path's ending by default" },
            "input": { "description": "What is written" },
        });
        let count = json!({ "type": "integer", "minimum": 0 });
        let result = json!({
            "path": { "type": "string" },
            "format": { "enum": ["jsonl", "json", "csv", "text"] },
            "bytes": count,
            "items": { "type": "integer", "minimum": 0, "description": "Lines of jsonl, rows of csv, else 1" },
            "created": { "type": "boolean", "description": "Whether there was no such file before" },
        });
        Self {
            spec: file_spec(
                "file_writer",
                "Writes data to a file as JSON Lines, JSON, CSV or text, as a whole or not at all.",
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
        let message = format!("`{path}` would have {} bytes; at most {bytes_max} are allowed", content.len());
        return Err(too_large("file_too_large", message).with_help("raise `file_bytes_max` in the policy"));
    }
    create_parents(&file)?;
    let created = replace(&file, |new| new.write_all(&content).map_err(|error| file.error("write", &error)))?;
    Ok(json!({ "path": path, "format": format.name(), "bytes": content.len(), "items": items, "created": created }))
}

impl Format {
    fn of_path(path: &str) -> Result<Self, ToolError> {
        let ending = Path::new(path).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("txt" | "md" | "log") => Ok(Self::Text),
            _ => Err(invalid("missing_parameter", format!("`format` is needed, since `{path}` does not tell it"))
                .with_help("give jsonl, json, csv or text")),
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

    /// The bytes of the file and how many items they have.
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
                    serde_json::to_writer(&mut content, item).expect("a JSON value can be written to memory");
                    content.push(b'\n');
                }
                Ok((content, items.len()))
            }
            Self::Json => {
                let mut content = serde_json::to_vec_pretty(&input).expect("a JSON value can be written to memory");
                content.push(b'\n');
                Ok((content, 1))
            }
            Self::Csv => csv(input, token),
            Self::Text => match input {
                Value::String(text) => Ok((text.into_bytes(), 1)),
                plain @ (Value::Number(_) | Value::Bool(_)) => Ok((plain.to_string().into_bytes(), 1)),
                other => Err(invalid(
                    "invalid_input",
                    format!("`input` is {}; as text it should be a string", kind_of(&other)),
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
                format!("`input` is {}; as csv it should be an array of objects or of arrays", kind_of(&other));
            return Err(invalid("invalid_input", message));
        }
    };
    let columns = columns(&items);
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let failed = |error: csv::Error| invalid("invalid_input", format!("a row cannot be written: {error}"));
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
                let wanted = if columns.is_empty() { "an array" } else { "an object" };
                let message =
                    format!("item {index} of `input` is {}; it should be {wanted} like the others", kind_of(other));
                return Err(invalid("invalid_input", message));
            }
        };
        writer.write_record(&row).map_err(failed)?;
    }
    let content = writer.into_inner().map_err(|error| invalid("invalid_input", error.to_string()))?;
    Ok((content, items.len()))
}

/// The names of all fields, in order of first appearance.
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
