//! Writes values and rows to files.

mod memory;
mod rows;
mod table;

use std::io;
use std::path::Path;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::file_spec;
use crate::data::row_files::{Files, InputPaths, input_path_schema, one_input, tool_error, with_conditions};
use crate::data::support::{blocking, invalid, object_schema, read, some_value, too_large};
use crate::{Services, Tool, ToolContext, ToolError, ToolSpec};

/// Writes data to a file atomically, creating missing parent directories.
///
/// - `jsonl`: each element of an array as a line of JSON; any other value as a single line.
/// - `json`: the value as indented JSON.
/// - `csv`: an array of objects (or a single object), with the fields in `columns`, or with all fields in order of first
///   appearance; or an array of arrays, without a header. Nested values are written as JSON, and null as an empty cell.
/// - `text`: a string unchanged, or a number or boolean as text.
///
/// Without `format`, the file extension determines the format. The result is `{path, format, bytes, items, created}`.
///
/// With `input_path` instead of `input`, the rows of a file are converted one at a time: to
/// `jsonl`, to `json` (an array with one row per line), to `csv` (in order of first appearance in
/// the file, unless `columns` are given), or to `text` (string rows, as lines). The result also
/// contains `rows`.
pub(crate) struct FileWriter {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    path: String,
    format: Option<Format>,
    #[serde(default, deserialize_with = "some_value")]
    input: Option<Value>,
    input_path: Option<InputPaths>,
    columns: Option<Vec<String>>,
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
            "input_path": input_path_schema(),
            "columns": { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true, "description": "csv: the fields to write, in this order; by default all, in order of first appearance" },
        });
        let count = json!({ "type": "integer", "minimum": 0 });
        let result = json!({
            "path": { "type": "string" },
            "format": { "enum": ["jsonl", "json", "csv", "text"] },
            "bytes": count,
            "items": { "type": "integer", "minimum": 0, "description": "The number of jsonl lines or csv rows; otherwise 1" },
            "rows": { "type": "integer", "minimum": 0, "description": "The number of rows from `input_path`" },
            "created": { "type": "boolean", "description": "Whether the file is new" },
        });
        Self {
            spec: file_spec(
                "file_writer",
                "Writes data to a file as JSON Lines, JSON, CSV or text, atomically.",
                with_conditions(object_schema(&["path"], parameters), one_input()),
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
    let Parameters { path, format, input, input_path, columns } = parameters;
    let format = match format {
        Some(format) => format,
        None => Format::of_path(&path)?,
    };
    if columns.is_some() && format != Format::Csv {
        let message = format!("`columns` is for format `csv`, not for `{}`", format.name());
        return Err(invalid("unused_parameter", message));
    }
    let columns = columns.as_deref();
    let written = Some(path.clone());
    let files = Files::locate(services, &[("input_path", InputPaths::of(&input_path))], &[("path", &written)])?;
    match (input, files.rows("input_path", token)?) {
        (Some(input), None) => {
            let data = memory::Data { format, input: &input, columns, token };
            // A rejected write must create neither the file nor its directory, so the content is
            // checked first.
            let mut size = Size(0);
            data.write(&mut size).map_err(|error| tool_error(error, "write", &path))?;
            check_size(&path, size.0, services.policy.file_bytes_max)?;
            let mut file = files.output("path")?;
            let items = data.write(&mut file).map_err(|error| tool_error(error, "write", &path))?;
            let written = file.finish(token)?;
            let (bytes, created) = (written.bytes, written.is_new);
            Ok(json!({ "path": path, "format": format.name(), "bytes": bytes, "items": items, "created": created }))
        }
        (None, Some(mut source)) => {
            let columns = match (format, columns) {
                (Format::Csv, None) => {
                    let all = rows::Columns::find(source)?;
                    source = files.rows("input_path", token)?.ok_or_else(missing_input)?;
                    all
                }
                (_, columns) => rows::Columns::given(columns),
            };
            let mut file = files.output("path")?;
            rows::write(&mut source, format, columns, &mut file).map_err(|error| tool_error(error, "write", &path))?;
            let (rows, written) = (source.count(), file.finish(token)?);
            Ok(json!({
                "path": path, "format": format.name(), "bytes": written.bytes, "items": rows, "rows": rows,
                "created": written.is_new,
            }))
        }
        _ => Err(missing_input()),
    }
}

fn missing_input() -> ToolError {
    invalid("missing_parameter", "exactly one of `input` and `input_path` is required")
}

fn check_size(path: &str, bytes: u64, bytes_max: u64) -> Result<(), ToolError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let message = format!("`{path}` would be {bytes} bytes long, exceeding the limit `file_bytes_max` of {bytes_max}");
    Err(too_large("file_too_large", message).with_help("raise `file_bytes_max` in the policy"))
}

/// Counts bytes.
struct Size(u64);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
}
