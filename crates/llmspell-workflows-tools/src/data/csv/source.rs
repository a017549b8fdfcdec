use std::collections::HashSet;
use std::io::{self, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::quotes::{QuoteChecker, UnclosedQuote};
use super::{BadRows, Options};
use crate::data::support::{CANCEL_EVERY, check_cancelled, check_text_size, invalid, too_large};
use crate::{Access, Services, ToolError};

/// The maximum number of columns in a table.
const COLUMNS_MAX: usize = 1000;

/// The maximum number of bad rows that are collected.
const REJECTED_MAX: usize = 100_000;

/// The rows of a string or a file, read on demand.
pub(super) struct Rows<'c> {
    reader: csv::Reader<QuoteChecker<Box<dyn Read>>>,
    columns: Vec<String>,
    first: Option<StringRecord>,
    record: StringRecord,
    count: usize,
    /// The bad rows so far, if they are collected.
    rejected: Option<Vec<Value>>,
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
        let collects = options.bad_rows == Some(BadRows::Collect);
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).has_headers(options.has_headers).flexible(collects);
        let rejected = collects.then(Vec::new);
        let (reader, record) = (builder.from_reader(source), StringRecord::new());
        let mut rows = Self { reader, columns: Vec::new(), first: None, record, count: 0, rejected, token };
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

    /// Returns the line on which the row begins that was read last, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(1, csv::Position::line)
    }

    /// Returns the bad rows, if they are collected.
    pub(super) fn take_rejected(&mut self) -> Option<Vec<Value>> {
        self.rejected.take()
    }

    /// Returns the next row, which has one cell per column; bad rows are skipped if they are collected.
    pub(super) fn next(&mut self) -> Result<Option<&StringRecord>, ToolError> {
        loop {
            let read = self.count + self.rejected.as_ref().map_or(0, Vec::len);
            if read.is_multiple_of(CANCEL_EVERY) {
                check_cancelled(self.token)?;
            }
            if let Some(first) = self.first.take() {
                self.record = first;
            } else {
                match (self.reader.read_record(&mut self.record), &mut self.rejected) {
                    (Ok(true), _) => {}
                    (Ok(false), _) => return Ok(None),
                    (Err(error), Some(rejected)) if matches!(error.kind(), ErrorKind::Utf8 { .. }) => {
                        let line = error.position().map(csv::Position::line);
                        rejected.push(json!({"line": line, "cells": [], "problem": "the row is not valid UTF-8"}));
                        check_count(rejected)?;
                        continue;
                    }
                    (Err(error), _) => return Err(read_error(&error)),
                }
            }
            let (expected, found) = (self.columns.len(), self.record.len());
            let line = self.line();
            match &mut self.rejected {
                Some(rejected) if expected != found => {
                    let problem = format!("expected {expected} fields, got {found}");
                    let cells: Vec<&str> = self.record.iter().collect();
                    rejected.push(json!({"line": line, "cells": cells, "problem": problem}));
                    check_count(rejected)?;
                }
                _ => break,
            }
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

/// Checks that a table does not consist of bad rows.
fn check_count(rejected: &[Value]) -> Result<(), ToolError> {
    if rejected.len() <= REJECTED_MAX {
        return Ok(());
    }
    let message = format!("more than {REJECTED_MAX} rows are bad");
    Err(too_large("too_many_bad_rows", message).with_help("check `options.delimiter` and the header"))
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
