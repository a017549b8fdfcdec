use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use llmspell_workflows_basic::JsonError;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::array::{ArrayError, Elements};
use super::file::tool_error;
use super::writer::check_at_row;
use super::{InputFile, ROW_BYTES_MAX, row_too_large};
use crate::data::csv::CsvRows;
use crate::data::support::{invalid, json_error, kind_of};
use crate::{Policy, SandboxPath, ToolError};

/// The size of the buffer for reading, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// The byte order mark that Windows editors put at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

type Source = BufReader<InputFile>;

/// Reads the rows of a file one at a time; the extension of the file determines its format.
///
/// | extension | rows |
/// |---|---|
/// | `.jsonl`, `.ndjson` | one JSON value per line; lines without a value are skipped |
/// | `.json` | the elements of an array |
/// | `.csv` | objects, as `csv_analyzer` converts them by default: the first row names the fields, and numbers and booleans are recognized |
///
/// An unreadable row is an error that names the file and the line.
pub(crate) struct RowReader<'c> {
    /// The files to read after the current file.
    waiting: VecDeque<&'c SandboxPath>,
    is_one_of_several: bool,
    policy: &'c Policy,
    path: String,
    rows: Rows<'c>,
    /// The JSON text of the last row; for CSV, the JSON text of the converted row.
    text: Vec<u8>,
    /// The line on which the last row begins, counted from 1.
    line: u64,
    count: u64,
    token: &'c CancellationToken,
}

enum Rows<'c> {
    Lines { source: Source, line: u64 },
    Elements(Elements<Source>),
    Csv(Box<CsvRows<'c>>),
}

/// A row, and the line on which it begins, counted from 1.
pub(crate) struct Row {
    pub(crate) value: Value,
    pub(crate) line: u64,
}

impl<'c> RowReader<'c> {
    /// Opens the first of several files within the policy's `read_roots`; returns `None` if there
    /// are none.
    ///
    /// The rows of the files are read one file after the other.
    pub(crate) fn open(
        paths: Vec<&'c SandboxPath>,
        policy: &'c Policy,
        token: &'c CancellationToken,
    ) -> Result<Option<Self>, ToolError> {
        let is_one_of_several = paths.len() > 1;
        let mut waiting = VecDeque::from(paths);
        let Some(first) = waiting.pop_front() else { return Ok(None) };
        let rows = Rows::open(first, policy, token)?;
        let path = first.path().to_owned();
        Ok(Some(Self { waiting, is_one_of_several, policy, path, rows, text: Vec::new(), line: 0, count: 0, token }))
    }

    /// Returns the next row.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, ToolError> {
        check_at_row(self.count, self.token)?;
        let line = loop {
            match self.rows.next(&mut self.text, &self.path)? {
                Some(line) => break line,
                None => {
                    let Some(path) = self.waiting.pop_front() else { return Ok(None) };
                    self.rows = Rows::open(path, self.policy, self.token)?;
                    path.path().clone_into(&mut self.path);
                }
            }
        };
        (self.line, self.count) = (line, self.count + 1);
        let value = llmspell_workflows_basic::parse_json_exactly(&self.text).map_err(|error| self.not_json(&error))?;
        Ok(Some(Row { value, line }))
    }

    /// Returns the next row, which must be an object.
    pub(crate) fn next_object(&mut self) -> Result<Option<Map<String, Value>>, ToolError> {
        match self.next()? {
            None => Ok(None),
            Some(Row { value: Value::Object(object), .. }) => Ok(Some(object)),
            Some(Row { value, .. }) => {
                let message = format!("{} must be an object, got {}", self.place(), kind_of(&value));
                Err(self.at_line(invalid("invalid_input", message)))
            }
        }
    }

    /// Returns the JSON text of the last row; object fields keep the order of the file.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the JSON text of the last row, unless it spans several lines.
    pub(crate) fn line_text(&self) -> Option<&[u8]> {
        Some(self.text.trim_ascii()).filter(|text| !text.contains(&b'\n'))
    }

    /// Returns the number of rows read so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the path of the last row's file, if there are several files.
    pub(crate) fn path_among_several(&self) -> Option<&str> {
        self.is_one_of_several.then_some(&self.path)
    }

    /// Describes the position of the last row, for messages.
    pub(crate) fn place(&self) -> String {
        match self.rows {
            Rows::Lines { .. } => format!("line {} of `{}`", self.line, self.path),
            Rows::Elements(_) | Rows::Csv(_) => format!("the row at line {} of `{}`", self.line, self.path),
        }
    }

    /// Adds the last row's position to an error about that row.
    pub(crate) fn error(&self, mut error: ToolError) -> ToolError {
        error.message = format!("{}: {}", self.place(), error.message);
        self.at_line(error)
    }

    /// Adds the last row's position to an error's details.
    fn at_line(&self, mut error: ToolError) -> ToolError {
        let mut details = error.details.take().filter(Value::is_object).unwrap_or_else(|| json!({}));
        details["path"] = json!(self.path);
        details["line"] = json!(self.line);
        error.with_details(details)
    }

    fn not_json(&self, error: &JsonError) -> ToolError {
        let mut failed = json_error(&self.place(), error);
        if let (Rows::Lines { .. }, JsonError::Syntax(_)) = (&self.rows, error) {
            // The parser sees only this line.
            failed.message = failed.message.replace(" at line 1 column ", " at column ");
            failed = failed.with_help("write one JSON value per line");
        }
        self.at_line(failed)
    }
}

impl<'c> Rows<'c> {
    fn open(path: &SandboxPath, policy: &Policy, token: &'c CancellationToken) -> Result<Self, ToolError> {
        let shown = path.path();
        let extension = Path::new(shown).extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let format = extension.as_deref().unwrap_or_default();
        if !matches!(format, "jsonl" | "ndjson" | "json" | "csv") {
            let message = format!("the name `{shown}` does not imply a row format");
            return Err(invalid("invalid_path", message)
                .with_help("rows are read from `.jsonl`, `.ndjson`, `.csv`, and `.json` files that contain an array"));
        }
        let file = InputFile::open(path, policy)?;
        Ok(if format == "csv" {
            Rows::Csv(Box::new(CsvRows::of_file(file, shown, token).map_err(|error| in_file(error, shown))?))
        } else {
            let mut source = BufReader::with_capacity(BUFFER_BYTES, file);
            skip_mark(&mut source).map_err(|error| tool_error(error, "read", shown))?;
            if format == "json" { Rows::Elements(Elements::new(source)) } else { Rows::Lines { source, line: 0 } }
        })
    }

    /// Puts the text of the next row into `text`, and returns the line on which it begins.
    fn next(&mut self, text: &mut Vec<u8>, path: &str) -> Result<Option<u64>, ToolError> {
        match self {
            Self::Lines { source, line } => next_line(source, line, text, path),
            Self::Elements(elements) => elements.next(text, ROW_BYTES_MAX).map_err(|error| array_error(error, path)),
            Self::Csv(rows) => rows.next_object(text).map_err(|error| in_file(error, path)),
        }
    }
}

/// Puts the next line that contains a value into `text`, and returns the line number.
fn next_line(source: &mut Source, line: &mut u64, text: &mut Vec<u8>, path: &str) -> Result<Option<u64>, ToolError> {
    loop {
        text.clear();
        let mut limited = source.by_ref().take(ROW_BYTES_MAX as u64 + 2);
        let count = limited.read_until(b'\n', text).map_err(|error| tool_error(error, "read", path))?;
        if count == 0 {
            return Ok(None);
        }
        *line += 1;
        if text.ends_with(b"\n") {
            text.pop();
        }
        if text.len() > ROW_BYTES_MAX {
            return Err(row_too_large(&format!("line {line} of `{path}`")));
        }
        if !text.trim_ascii().is_empty() {
            return Ok(Some(*line));
        }
    }
}

fn skip_mark(source: &mut Source) -> io::Result<()> {
    if source.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        source.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

fn array_error(error: ArrayError, path: &str) -> ToolError {
    match error {
        ArrayError::NotAnArray(line, why) => invalid("invalid_json", format!("line {line} of `{path}`: {why}"))
            .with_details(json!({ "path": path, "line": line })),
        ArrayError::TooLong(line) => row_too_large(&format!("the row at line {line} of `{path}`")),
        ArrayError::Io(error) => tool_error(error, "read", path),
    }
}

/// Adds the file to an error from the CSV reader, which knows only line numbers.
fn in_file(mut error: ToolError, path: &str) -> ToolError {
    if !error.message.contains(path) {
        error.message = format!("`{path}`, {}", error.message);
    }
    error
}
