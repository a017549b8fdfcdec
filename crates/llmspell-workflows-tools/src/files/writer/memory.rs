use std::io::{self, Write};
use std::slice;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Format;
use super::table::{Table, columns_of};
use crate::data::support::{CANCEL_EVERY, check_cancelled, invalid, kind_of};

/// A value that becomes the content of a file.
pub(super) struct Data<'d> {
    pub(super) format: Format,
    pub(super) input: &'d Value,
    pub(super) columns: Option<&'d [String]>,
    pub(super) token: &'d CancellationToken,
}

impl Data<'_> {
    /// Writes the content piece by piece, and returns the number of items in it; tool errors are wrapped in I/O errors.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<usize> {
        match (self.format, self.input) {
            (Format::Jsonl, input) => {
                let items = input.as_array().map_or(slice::from_ref(input), Vec::as_slice);
                for (index, item) in items.iter().enumerate() {
                    self.check(index)?;
                    serde_json::to_writer(&mut *out, item)?;
                    out.write_all(b"\n")?;
                }
                Ok(items.len())
            }
            (Format::Json, input) => {
                serde_json::to_writer_pretty(&mut *out, input)?;
                out.write_all(b"\n")?;
                Ok(1)
            }
            (Format::Csv, Value::Array(items)) => self.table(items, out),
            (Format::Csv, object @ Value::Object(_)) => self.table(slice::from_ref(object), out),
            (Format::Csv, other) => rejected(format!(
                "`input` must be an array of objects or of arrays for format `csv`, got {}",
                kind_of(other)
            )),
            (Format::Text, Value::String(text)) => out.write_all(text.as_bytes()).map(|()| 1),
            (Format::Text, plain @ (Value::Number(_) | Value::Bool(_))) => write!(out, "{plain}").map(|()| 1),
            (Format::Text, other) => Err(io::Error::other(
                invalid("invalid_input", format!("`input` must be a string for format `text`, got {}", kind_of(other)))
                    .with_help("`format: json` writes any value"),
            )),
        }
    }

    fn table(&self, items: &[Value], out: &mut impl Write) -> io::Result<usize> {
        let all;
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                all = columns_of(items);
                &all
            }
        };
        let mut table = Table::new(out, columns)?;
        for (index, item) in items.iter().enumerate() {
            self.check(index)?;
            table.write(item, || format!("item {index} of `input`"))?;
        }
        table.finish()?;
        Ok(items.len())
    }

    fn check(&self, index: usize) -> io::Result<()> {
        if index.is_multiple_of(CANCEL_EVERY) { check_cancelled(self.token).map_err(io::Error::other) } else { Ok(()) }
    }
}

fn rejected<T>(message: String) -> io::Result<T> {
    Err(io::Error::other(invalid("invalid_input", message)))
}
