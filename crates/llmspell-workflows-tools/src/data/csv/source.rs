use std::collections::HashSet;
use std::io::Read;

use csv::StringRecord;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::records::{Found, Records, unclosed};
use crate::ToolError;
use crate::data::row_files::RowWriter;
use crate::data::support::{CANCEL_EVERY, check_cancelled, invalid, too_large};

/// The maximum number of columns in a table.
pub(crate) const COLUMNS_MAX: usize = 1000;

/// The maximum number of bad rows collected in the result.
const REJECTED_MAX: usize = 100_000;

/// The rows of a string or a file, read on demand.
pub(super) struct Rows<'c> {
    records: Records<Box<dyn Read>>,
    columns: Vec<String>,
    /// Whether the current record is a row that has not been returned yet.
    is_pending: bool,
    record: StringRecord,
    count: usize,
    bad: BadRows,
    token: &'c CancellationToken,
}

/// A table to read.
pub(super) struct Table {
    pub(super) source: Box<dyn Read>,
    /// The name used for the table in errors about reading it.
    pub(super) name: String,
    pub(super) delimiter: u8,
    pub(super) has_headers: bool,
    pub(super) bad: BadRows,
}

/// The destination of rows with more or fewer cells than the header, invalid text, or an unclosed quote.
pub(super) enum BadRows {
    /// A bad row is an error.
    Fail,
    /// Bad rows are added to the result.
    Collect(Vec<Value>),
    /// Bad rows are written to a file.
    Write(Box<RowWriter>),
}

impl<'c> Rows<'c> {
    /// Reads the header.
    pub(super) fn open(table: Table, token: &'c CancellationToken) -> Result<Self, ToolError> {
        let Table { source, name, delimiter, has_headers, bad } = table;
        let records = Records::new(source, name, delimiter);
        let record = StringRecord::new();
        let mut rows = Self { records, columns: Vec::new(), is_pending: false, record, count: 0, bad, token };
        rows.read_header(has_headers)?;
        if !matches!(rows.bad, BadRows::Fail) {
            rows.records.recovers_from(rows.columns.len());
        }
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

    /// Returns the last row read.
    pub(super) fn row(&self) -> &StringRecord {
        &self.record
    }

    /// Returns the line on which the last row begins, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.records.line()
    }

    /// Returns the text of the last row, without its line end.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.records.text()).expect("a row's cells are checked")
    }

    /// Returns the destination of the bad rows.
    pub(super) fn into_bad(self) -> BadRows {
        self.bad
    }

    /// Returns the next row, which has one cell per column; bad rows are skipped unless they are errors.
    pub(super) fn next(&mut self) -> Result<Option<&StringRecord>, ToolError> {
        for read in self.count.. {
            if read.is_multiple_of(CANCEL_EVERY) {
                check_cancelled(self.token)?;
            }
            let is_pending = std::mem::take(&mut self.is_pending);
            let found = if is_pending { Some(Found::Record) } else { self.records.read(&mut self.record)? };
            let (expected, given) = (self.columns.len(), self.record.len());
            match found {
                None => return Ok(None),
                Some(Found::Record) if expected == given => break,
                Some(found) => self.add_bad(found)?,
            }
        }
        self.count += 1;
        Ok(Some(&self.record))
    }

    /// Adds the current record to the bad rows.
    fn add_bad(&mut self, found: Found) -> Result<(), ToolError> {
        if matches!(self.bad, BadRows::Fail) {
            return Err(self.failure(found));
        }
        let problem = match found {
            Found::Record => format!("expected {} fields, got {}", self.columns.len(), self.record.len()),
            Found::Unclosed => "unclosed quote".to_owned(),
            Found::NotUtf8 => "the row is not valid UTF-8".to_owned(),
        };
        let cells: Vec<&str> = if found == Found::Record { self.record.iter().collect() } else { Vec::new() };
        let text = String::from_utf8_lossy(self.records.text());
        let row = json!({ "line": self.line(), "text": text, "cells": cells, "problem": problem });
        match &mut self.bad {
            BadRows::Fail => Ok(()),
            BadRows::Write(writer) => writer.write(&row),
            BadRows::Collect(rejected) => {
                rejected.push(row);
                check_count(rejected)
            }
        }
    }

    fn failure(&self, found: Found) -> ToolError {
        let line = self.line();
        let failed = match found {
            Found::Unclosed => return unclosed(self.records.opened()),
            Found::NotUtf8 => invalid("invalid_csv", format!("line {line}: the row is not valid UTF-8"))
                .with_help("convert the file to UTF-8 first"),
            Found::Record => {
                let (expected, given) = (self.columns.len(), self.record.len());
                let message = format!("line {line}: expected {expected} fields as in the previous rows, got {given}");
                invalid("invalid_csv", message)
            }
        };
        failed.with_details(json!({ "line": line }))
    }

    fn read_header(&mut self, has_headers: bool) -> Result<(), ToolError> {
        let found = self.records.read(&mut self.record)?;
        if let Some(found @ (Found::Unclosed | Found::NotUtf8)) = found {
            return Err(self.failure(found));
        }
        let width = self.record.len();
        if width > COLUMNS_MAX {
            let message = format!("the table has {width} columns; the limit is {COLUMNS_MAX}");
            return Err(too_large("too_many_columns", message));
        }
        if has_headers {
            self.columns = self.record.iter().map(str::to_owned).collect();
        } else {
            self.columns = (1..=width).map(|number| format!("column_{number}")).collect();
            self.is_pending = found.is_some();
        }
        let mut seen = HashSet::new();
        match self.columns.iter().find(|name| !seen.insert(name.as_str())) {
            None => Ok(()),
            Some(twice) => Err(invalid("duplicate_column", format!("the header contains `{twice}` twice"))),
        }
    }
}

/// Fails if there are too many bad rows.
fn check_count(rejected: &[Value]) -> Result<(), ToolError> {
    if rejected.len() <= REJECTED_MAX {
        return Ok(());
    }
    let message = format!("more than {REJECTED_MAX} rows are bad");
    Err(too_large("too_many_bad_rows", message)
        .with_help("check `options.delimiter` and the header, or write them to `options.bad_rows_path`"))
}
