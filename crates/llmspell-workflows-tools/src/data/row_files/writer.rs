use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::file::tool_error;
use super::{Files, OutputFile, ROW_BYTES_MAX, RowReader, row_too_large};
use crate::ToolError;
use crate::data::support::{CANCEL_EVERY, TEXT_BYTES_MAX, check_cancelled, invalid, too_large};

/// Writes rows to a file as JSON Lines.
pub(crate) struct RowWriter {
    file: OutputFile,
    /// The text of the current row.
    line: Vec<u8>,
    rows: u64,
}

/// The rows of a complete file.
#[derive(Debug, Clone)]
pub(crate) struct WrittenRows {
    /// The path as the caller wrote it.
    pub(crate) path: String,
    pub(crate) rows: u64,
}

impl RowWriter {
    /// Starts the file named by the parameter `name`, if there is one; the file's name must end
    /// with `.jsonl` or `.ndjson`.
    pub(crate) fn create(files: &Files<'_>, name: &str) -> Result<Option<Self>, ToolError> {
        let Some(path) = files.get(name) else { return Ok(None) };
        let extension = Path::new(path.path()).extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if !matches!(extension.as_deref(), Some("jsonl" | "ndjson")) {
            let message = format!("`{name}` must end with `.jsonl` or `.ndjson`, got `{}`", path.path());
            return Err(invalid("invalid_path", message).with_help(
                "rows are written as JSON Lines; `file_writer` with `input_path` converts them to CSV or JSON",
            ));
        }
        Ok(files.create(name)?.map(|file| Self { file, line: Vec::new(), rows: 0 }))
    }

    /// Writes a row.
    pub(crate) fn write(&mut self, row: &impl Serialize) -> Result<(), ToolError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, row).expect("writing JSON to memory cannot fail");
        self.end_line()
    }

    /// Writes `value`, the last row read from `source`, with its fields in their original order.
    pub(crate) fn copy(&mut self, source: &RowReader<'_>, value: &Value) -> Result<(), ToolError> {
        match source.line_text() {
            None => self.write(value),
            Some(text) => self.write_text(text),
        }
    }

    /// Writes a row that is already a line of JSON.
    pub(crate) fn write_text(&mut self, row: &[u8]) -> Result<(), ToolError> {
        self.line.clear();
        self.line.extend_from_slice(row);
        self.end_line()
    }

    fn end_line(&mut self) -> Result<(), ToolError> {
        self.rows += 1;
        if self.line.len() > ROW_BYTES_MAX {
            return Err(row_too_large(&format!("row {} of `{}`", self.rows, self.file.path())));
        }
        self.line.push(b'\n');
        self.file.write_all(&self.line).map_err(|error| tool_error(error, "write", self.file.path()))
    }

    /// Completes the file; fails if the call was cancelled.
    pub(crate) fn finish(self, token: &CancellationToken) -> Result<WrittenRows, ToolError> {
        let path = self.file.path().to_owned();
        self.file.finish(token)?;
        Ok(WrittenRows { path, rows: self.rows })
    }
}

impl WrittenRows {
    /// Adds the path and, if `count` is given, the number of rows to a result.
    pub(crate) fn add_to(&self, result: &mut Value, path: &str, count: Option<&str>) {
        result[path] = self.path.as_str().into();
        if let Some(count) = count {
            result[count] = self.rows.into();
        }
    }
}

/// The rows that a call produces: in a file, or in the result.
pub(crate) enum RowOutput {
    File(Box<RowWriter>),
    Memory { rows: Vec<Value>, bytes: usize },
}

impl RowOutput {
    /// Starts the file named by the parameter `output_path`; without this parameter, the rows
    /// become part of the result.
    pub(crate) fn create(files: &Files<'_>) -> Result<Self, ToolError> {
        let writer = RowWriter::create(files, "output_path")?;
        Ok(writer.map_or_else(|| Self::Memory { rows: Vec::new(), bytes: 0 }, |writer| Self::File(Box::new(writer))))
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Value) -> Result<(), ToolError> {
        match self {
            Self::File(writer) => writer.write(&row),
            Self::Memory { rows, bytes } => {
                *bytes += text_bytes(&row);
                if *bytes > TEXT_BYTES_MAX {
                    let message = format!("the result is larger than {TEXT_BYTES_MAX} bytes");
                    return Err(too_large("output_too_large", message).with_help("write it to `output_path`"));
                }
                rows.push(row);
                Ok(())
            }
        }
    }

    /// Returns whether the rows are written to a file.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Adds a row that is already a line of JSON.
    pub(crate) fn add_text(&mut self, row: &[u8]) -> Result<(), ToolError> {
        match self {
            Self::File(writer) => writer.write_text(row),
            Self::Memory { .. } => self.add(serde_json::from_slice(row).expect("the text was parsed before")),
        }
    }

    /// Returns `{path, rows}` for the completed file, or an object with the rows under `name`.
    pub(crate) fn finish(self, name: &str, token: &CancellationToken) -> Result<Value, ToolError> {
        let mut result = json!({});
        match self {
            Self::File(writer) => writer.finish(token)?.add_to(&mut result, "path", Some("rows")),
            Self::Memory { rows, .. } => result[name] = Value::Array(rows),
        }
        Ok(result)
    }
}

/// Returns the size of a value's JSON text in bytes, without building it.
pub(crate) fn text_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("counting cannot fail");
    count.0
}

/// Fails if the call was cancelled; checks only once every few hundred rows.
pub(super) fn check_at_row(row: u64, token: &CancellationToken) -> Result<(), ToolError> {
    if row.is_multiple_of(CANCEL_EVERY as u64) { check_cancelled(token) } else { Ok(()) }
}
