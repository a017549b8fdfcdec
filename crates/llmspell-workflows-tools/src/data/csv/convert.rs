use std::io::{self, Write};
use std::path::Path;

use csv::{StringRecord, WriterBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::rows::{Budget, object};
use super::source::{BadRows, Rows};
use super::{Options, cell};
use crate::ToolError;
use crate::data::row_files::{OutputFile, tool_error};
use crate::data::support::{invalid, require};

/// The output format of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// An array of objects.
    Json,
    /// Text with one object per line.
    Jsonl,
    /// Text with tab-separated cells.
    Tsv,
    /// Text with comma-separated cells.
    Csv,
}

impl Format {
    /// Returns the format set in the options or implied by the name of the output file.
    pub(super) fn of(options: &Options) -> Result<Self, ToolError> {
        let extension = options.output_path.as_deref().map(Path::new).and_then(Path::extension);
        let implied = match extension.map(|extension| extension.to_string_lossy().to_lowercase()).as_deref() {
            Some("jsonl" | "ndjson") => Some(Self::Jsonl),
            Some("json") => Some(Self::Json),
            Some("csv") => Some(Self::Csv),
            Some("tsv") => Some(Self::Tsv),
            _ => None,
        };
        require(options.format.or(implied), "options.format", "convert")
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Tsv => "tsv",
            Self::Csv => "csv",
        }
    }
}

/// The settings for converting each row.
pub(super) struct Conversion {
    format: Format,
    infer: bool,
    /// The name of the field for the number of the row's first line.
    line_column: Option<String>,
    /// The name of the field for the row's text.
    text_column: Option<String>,
}

impl Conversion {
    /// Checks that the additional fields do not hide a column.
    pub(super) fn new(format: Format, options: &Options, columns: &[String]) -> Result<Self, ToolError> {
        let (line_column, text_column) = (options.line_column.clone(), options.text_column.clone());
        for (option, name) in [("line_column", &line_column), ("text_column", &text_column)] {
            let Some(name) = name else { continue };
            if columns.contains(name) {
                let message = format!("`options.{option}` is `{name}`, which is also a column of the table");
                return Err(invalid("duplicate_column", message));
            }
        }
        if line_column.is_some() && line_column == text_column {
            let message = "`options.line_column` and `options.text_column` must be different";
            return Err(invalid("duplicate_column", message));
        }
        Ok(Self { format, infer: options.infer_types.unwrap_or(true), line_column, text_column })
    }
}

/// Converts all rows into the result or into `output`.
pub(super) fn convert(
    mut rows: Rows<'_>,
    conversion: &Conversion,
    output: Option<OutputFile>,
    token: &CancellationToken,
) -> Result<Value, ToolError> {
    let mut result = json!({ "format": conversion.format.name() });
    match output {
        Some(mut file) => {
            let path = file.path().to_owned();
            write(&mut rows, conversion, &mut file).map_err(|error| tool_error(error, "write", &path))?;
            file.finish(token)?;
            result["path"] = json!(path);
        }
        None if conversion.format == Format::Json => result["output"] = Value::Array(objects(&mut rows, conversion)?),
        None => {
            let mut text = BoundedText::default();
            write(&mut rows, conversion, &mut text).map_err(|error| tool_error(error, "write", "the result"))?;
            result["output"] = Value::String(String::from_utf8(text.bytes).expect("the rows are UTF-8"));
        }
    }
    result["rows"] = json!(rows.count());
    match rows.into_bad() {
        BadRows::Fail => {}
        BadRows::Collect(rejected) => result["rejected"] = Value::Array(rejected),
        BadRows::Write(writer) => writer.finish(token)?.add_to(&mut result, "bad_rows_path", Some("bad_rows")),
    }
    Ok(result)
}

fn objects(rows: &mut Rows<'_>, conversion: &Conversion) -> Result<Vec<Value>, ToolError> {
    let (columns, mut items, mut budget) = (rows.columns().to_vec(), Vec::new(), Budget::default());
    while let Some(row) = rows.next()? {
        budget.spend(row.as_slice().len() + row.len())?;
        let mut item = object(&columns, row, conversion.infer);
        if let Some(name) = &conversion.line_column {
            item[name] = json!(rows.line());
        }
        if let Some(name) = &conversion.text_column {
            budget.spend(rows.text().len())?;
            item[name] = json!(rows.text());
        }
        items.push(item);
    }
    Ok(items)
}

/// Writes the rows as text; tool errors are wrapped in I/O errors.
fn write(rows: &mut Rows<'_>, conversion: &Conversion, out: &mut impl Write) -> io::Result<()> {
    let columns = rows.columns().to_vec();
    let delimiter = match conversion.format {
        Format::Tsv => b'\t',
        Format::Csv => b',',
        Format::Json | Format::Jsonl => {
            let is_array = conversion.format == Format::Json;
            let mut line = Vec::new();
            if is_array {
                out.write_all(b"[")?;
            }
            while rows.next().map_err(io::Error::other)?.is_some() {
                line.clear();
                if is_array {
                    line.extend_from_slice(if rows.count() == 1 { b"\n" } else { b",\n" });
                }
                write_object(&mut line, rows, conversion, &columns)?;
                if !is_array {
                    line.push(b'\n');
                }
                out.write_all(&line)?;
            }
            return if is_array { out.write_all(b"\n]\n") } else { Ok(()) };
        }
    };
    let mut writer = WriterBuilder::new().delimiter(delimiter).from_writer(out);
    writer.write_record(&columns).map_err(io_error)?;
    while let Some(row) = rows.next().map_err(io::Error::other)? {
        writer.write_record(row).map_err(io_error)?;
    }
    writer.flush()
}

fn write_object(
    line: &mut Vec<u8>,
    rows: &Rows<'_>,
    conversion: &Conversion,
    columns: &[String],
) -> serde_json::Result<()> {
    ordered_object(line, columns, rows.row(), conversion.infer)?;
    let (number, text) = (rows.line(), rows.text());
    let more = [
        conversion.line_column.as_ref().map(|name| (name, json!(number))),
        conversion.text_column.as_ref().map(|name| (name, json!(text))),
    ];
    for (name, value) in more.into_iter().flatten() {
        // The closing brace of the object moves after the new field.
        line.pop();
        if !columns.is_empty() || line.last() != Some(&b'{') {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, name)?;
        line.push(b':');
        serde_json::to_writer(&mut *line, &value)?;
        line.push(b'}');
    }
    Ok(())
}

/// Appends a row as a JSON object with its fields in the order of the columns.
pub(super) fn ordered_object(
    line: &mut Vec<u8>,
    columns: &[String],
    row: &StringRecord,
    infer: bool,
) -> serde_json::Result<()> {
    line.push(b'{');
    for (index, (column, cell)) in columns.iter().zip(row).enumerate() {
        if index > 0 {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, column)?;
        line.push(b':');
        serde_json::to_writer(&mut *line, &cell::to_value(cell, infer))?;
    }
    line.push(b'}');
    Ok(())
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(invalid("conversion_failed", format!("cannot write a row: {other:?}"))),
    }
}

/// A text in the result, with a size limit.
#[derive(Default)]
struct BoundedText {
    bytes: Vec<u8>,
    budget: Budget,
}

impl Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.budget.spend(bytes.len()).map_err(io::Error::other)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
