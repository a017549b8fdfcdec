use std::borrow::Cow;
use std::io::{self, Write};

use csv::WriterBuilder;
use serde_json::{Map, Value};

use crate::data::support::{invalid, kind_of};

/// Writes items as CSV: objects below a header, or arrays without a header.
pub(super) struct Table<'c, W: Write> {
    writer: csv::Writer<W>,
    /// The names of the fields; empty for arrays.
    columns: &'c [String],
    cells: csv::ByteRecord,
}

impl<'c, W: Write> Table<'c, W> {
    /// Writes the header, if there is one.
    pub(super) fn new(out: W, columns: &'c [String]) -> io::Result<Self> {
        let mut writer = WriterBuilder::new().flexible(true).from_writer(out);
        if !columns.is_empty() {
            writer.write_record(columns).map_err(io_error)?;
        }
        Ok(Self { writer, columns, cells: csv::ByteRecord::new() })
    }

    /// Writes an item and returns how many of its fields have a column; `place` describes the
    /// item's position in errors.
    pub(super) fn write(&mut self, item: &Value, place: impl FnOnce() -> String) -> io::Result<usize> {
        self.cells.clear();
        let mut found = 0;
        match item {
            Value::Object(object) if !self.columns.is_empty() => {
                for column in self.columns {
                    let value = object.get(column);
                    found += usize::from(value.is_some());
                    self.cells.push_field(cell(value).as_bytes());
                }
            }
            Value::Array(cells) if self.columns.is_empty() => {
                cells.iter().for_each(|value| self.cells.push_field(cell(Some(value)).as_bytes()));
                found = cells.len();
            }
            other => {
                let expected = if self.columns.is_empty() { "an array" } else { "an object" };
                let message = format!("{} must be {expected} like the other items, got {}", place(), kind_of(other));
                return Err(io::Error::other(invalid("invalid_input", message)));
            }
        }
        self.writer.write_byte_record(&self.cells).map_err(io_error)?;
        Ok(found)
    }

    /// Writes the remaining buffered data.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Adds the names of an object's fields that are not in `columns` yet.
pub(super) fn add_columns<'n>(
    columns: &mut Vec<String>,
    seen: &mut std::collections::HashSet<String>,
    names: impl Iterator<Item = &'n String>,
) {
    for name in names {
        if !seen.contains(name) {
            seen.insert(name.clone());
            columns.push(name.clone());
        }
    }
}

/// Returns the names of all fields in order of first appearance.
pub(super) fn columns_of(items: &[Value]) -> Vec<String> {
    let (mut columns, mut seen) = (Vec::new(), std::collections::HashSet::new());
    for object in items.iter().filter_map(Value::as_object) {
        add_columns(&mut columns, &mut seen, Map::keys(object));
    }
    columns
}

fn cell(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(invalid("invalid_input", format!("cannot write a row: {other:?}"))),
    }
}
