use std::collections::HashSet;
use std::io::{self, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::quotes::{QuoteChecker, UnclosedQuote};
use crate::data::support::{CANCEL_EVERY, check_cancelled, check_text_size, invalid, too_large};
use crate::{Access, Services, ToolError};

/// The maximum number of columns in a table.
const COLUMNS_MAX: usize = 1000;

/// The rows of a string or a file, read on demand.
pub(super) struct Rows<'c> {
    reader: csv::Reader<QuoteChecker<Box<dyn Read>>>,
    columns: Vec<String>,
    first: Option<StringRecord>,
    record: StringRecord,
    count: usize,
    token: &'c CancellationToken,
}

impl<'c> Rows<'c> {
    /// Opens `input` or the file named in `options`, and reads the header.
    pub(super) fn open(
        input: Option<String>,
        options: &Options,
        services: &Services,
        token: &'c CancellationToken,
    ) -> Result<Self, ToolError> {
        let source: Box<dyn Read> = match (input, &options.path) {
            (Some(text), None) => {
                check_text_size(text.len())?;
                Box::new(io::Cursor::new(text))
            }
            (None, Some(path)) => {
                let file = services.sandbox.locate(path, Access::Read)?.open()?;
                Box::new(LimitedReader { reader: file, left: services.policy.file_bytes_max })
            }
            _ => {
                return Err(invalid("missing_parameter", "exactly one of `input` and `options.path` is required"));
            }
        };
        let delimiter = options.delimiter()?;
        let source = QuoteChecker::new(source, delimiter);
        let reader = ReaderBuilder::new().delimiter(delimiter).has_headers(options.has_headers).from_reader(source);
        let mut rows = Self { reader, columns: Vec::new(), first: None, record: StringRecord::new(), count: 0, token };
        rows.read_header(options.has_headers)?;
        Ok(rows)
    }

    /// Returns the column names; if there is no header, they are `column_1`, `column_2` and so on.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the number of rows read so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the next row, which has one cell per column.
    pub(super) fn next(&mut self) -> Result<Option<&StringRecord>, ToolError> {
        if self.count.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(self.token)?;
        }
        if let Some(first) = self.first.take() {
            self.record = first;
        } else if !self.reader.read_record(&mut self.record).map_err(|error| read_error(&error))? {
            return Ok(None);
        }
        self.count += 1;
        Ok(Some(&self.record))
    }

    fn read_header(&mut self, has_headers: bool) -> Result<(), ToolError> {
        let header = if has_headers {
            self.reader.headers().map_err(|error| read_error(&error))?.clone()
        } else {
            let mut first = StringRecord::new();
            let found = self.reader.read_record(&mut first).map_err(|error| read_error(&error))?;
            self.first = found.then(|| first.clone());
            (1..=first.len()).map(|number| format!("column_{number}")).collect()
        };
        if header.len() > COLUMNS_MAX {
            let message = format!("the table has {} columns; the limit is {COLUMNS_MAX}", header.len());
            return Err(too_large("too_many_columns", message));
        }
        self.columns = header.iter().map(str::to_owned).collect();
        let mut seen = HashSet::new();
        match self.columns.iter().find(|name| !seen.insert(name.as_str())) {
            None => Ok(()),
            Some(twice) => Err(invalid("duplicate_column", format!("the header contains `{twice}` twice"))),
        }
    }
}

/// Converts an error of the CSV reader, and adds its line number.
fn read_error(error: &csv::Error) -> ToolError {
    let unclosed = match error.kind() {
        ErrorKind::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<UnclosedQuote>()).copied(),
        _ => None,
    };
    if let Some(unclosed) = unclosed {
        let details = json!({ "line": unclosed.line });
        return invalid("invalid_csv", unclosed.to_string()).with_details(details);
    }
    let line = error.position().map(csv::Position::line);
    let at = line.map_or(String::new(), |line| format!("line {line}: "));
    let failed = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            invalid("invalid_csv", format!("{at}expected {expected_len} fields as in the previous rows, got {len}"))
        }
        ErrorKind::Utf8 { .. } => invalid("invalid_csv", format!("{at}the row is not valid UTF-8"))
            .with_help("convert the file to UTF-8 first"),
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            too_large("file_too_large", error.to_string()).with_help("raise `file_bytes_max` in the policy")
        }
        _ => invalid("invalid_csv", format!("cannot read the text as CSV: {error}")),
    };
    match line {
        Some(line) => failed.with_details(json!({ "line": line })),
        None => failed,
    }
}

/// A reader that fails once its byte limit is exceeded.
struct LimitedReader<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than the policy allows"))?;
        Ok(count)
    }
}
