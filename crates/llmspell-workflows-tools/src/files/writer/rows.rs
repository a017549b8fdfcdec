use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Format;
use super::table::{Table, add_columns};
use crate::data::csv::COLUMNS_MAX;
use crate::data::row_files::RowReader;
use crate::data::support::{invalid, kind_of, too_large};
use crate::{ToolError, ToolErrorClass};

/// The columns of a CSV file written from rows.
pub(super) struct Columns {
    /// Empty if the rows are arrays.
    names: Vec<String>,
    /// Whether the rows have been read once to find all names.
    are_all: bool,
}

impl Columns {
    /// Returns the given columns.
    pub(super) fn given(columns: Option<&[String]>) -> Self {
        Self { names: columns.unwrap_or_default().to_vec(), are_all: false }
    }

    /// Finds the names of all fields, in order of first appearance in the file.
    pub(super) fn find(mut rows: RowReader<'_>) -> Result<Self, ToolError> {
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        while let Some(row) = rows.next()? {
            if !row.value.is_object() {
                continue;
            }
            // The value has its fields in alphabetical order; the text keeps the order of the file.
            let FieldNames(fields) = serde_json::from_slice(rows.text()).expect("the text was parsed before");
            add_columns(&mut names, &mut seen, fields.iter());
            if names.len() > COLUMNS_MAX {
                let message =
                    format!("the rows have more than {COLUMNS_MAX} different fields, the limit `COLUMNS_MAX`");
                return Err(rows.error(too_large("too_many_columns", message)).with_help("choose some with `columns`"));
            }
        }
        Ok(Self { names, are_all: true })
    }
}

/// Writes all rows; tool errors are wrapped in I/O errors.
pub(super) fn write(
    rows: &mut RowReader<'_>,
    format: Format,
    columns: Columns,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Csv => csv(rows, &columns, out),
        Format::Jsonl => {
            while let Some(row) = rows.next().map_err(io::Error::other)? {
                write_row(rows, &row.value, out)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        }
        Format::Json => {
            out.write_all(b"[")?;
            while let Some(row) = rows.next().map_err(io::Error::other)? {
                out.write_all(if rows.count() == 1 { b"\n" } else { b",\n" })?;
                write_row(rows, &row.value, out)?;
            }
            out.write_all(b"\n]\n")
        }
        Format::Text => {
            while let Some(row) = rows.next().map_err(io::Error::other)? {
                match &row.value {
                    Value::String(text) => writeln!(out, "{text}")?,
                    plain @ (Value::Number(_) | Value::Bool(_)) => writeln!(out, "{plain}")?,
                    other => {
                        let message = format!("a row must be a string for format `text`, got {}", kind_of(other));
                        return Err(io::Error::other(rows.error(invalid("invalid_input", message))));
                    }
                }
            }
            Ok(())
        }
    }
}

/// Writes the text of a row, unless it spans several lines.
fn write_row(rows: &RowReader<'_>, value: &Value, out: &mut impl Write) -> io::Result<()> {
    match rows.line_text() {
        Some(text) => out.write_all(text),
        None => Ok(serde_json::to_writer(out, value)?),
    }
}

fn csv(rows: &mut RowReader<'_>, columns: &Columns, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(out, &columns.names)?;
    while let Some(row) = rows.next().map_err(io::Error::other)? {
        let found = table.write(&row.value, || rows.place())?;
        let fields = row.value.as_object().map_or(found, serde_json::Map::len);
        if columns.are_all && found < fields {
            let message = format!("{} has a new field: the file was changed while it was being read", rows.place());
            return Err(io::Error::other(ToolError::new(ToolErrorClass::Transient, "file_busy", message)));
        }
    }
    table.finish()
}

/// The names of an object's fields, in the order of its JSON text.
struct FieldNames(Vec<String>);

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FieldNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
