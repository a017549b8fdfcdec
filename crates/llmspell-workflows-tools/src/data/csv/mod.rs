//! Analyzes, converts, filters and samples CSV.

mod analyze;
mod cell;
mod convert;
mod options;
mod records;
mod rows;
mod source;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::row_files::{FILE_PERMISSIONS, Files, InputFile, RowWriter};
use super::support::{blocking, check_text_size, data_spec, invalid, object_schema, read, require, too_large};
use crate::{Permission, SecurityLevel, Services, Tool, ToolContext, ToolError, ToolSpec};
use convert::{Conversion, Format};
use options::{OnBadRow, Options, options_schema};
pub(crate) use source::COLUMNS_MAX;
use source::{BadRows, Rows, Table};

/// The maximum number of rows that `filter` and `sample` return.
const ROWS_MAX: usize = 100_000;

/// The number of rows that `filter` returns by default.
const ROWS_DEFAULT: usize = 10_000;

/// The maximum number of frequent values per column.
const TOP_MAX: usize = 1000;

/// Analyzes, converts, filters and samples CSV, row by row.
///
/// The table is the string `input`, or the file `options.path` within the policy's `read_roots`. All operations accept
/// the options `delimiter` (one ASCII character, `,` by default) and `has_headers` (true by default; otherwise the
/// columns are named `column_1` and so on). Operations that return rows as JSON also accept `infer_types` (true by
/// default), which converts numbers, booleans and empty cells to JSON values. The other options depend on the
/// operation:
///
/// - `analyze`: `top` (5), the number of frequent values. Returns `{rows, columns: [{name, type, count, nulls,
///   distinct, top, min, max, mean, median, stddev}]}`.
/// - `convert`: `format` (`json`: an array of objects; `jsonl`, `tsv`, `csv`: text), `bad_rows`
///   (`fail` by default, or `collect`), and, for `json` and `jsonl` only, `line_column` and
///   `text_column`, the names of fields for the number of a row's first line and for its text.
///   Returns `{format, rows, output}`; with `bad_rows: collect` also `rejected`:
///   `[{line, text, cells, problem}]`. With `output_path`, the rows are written to a file, and
///   `path` replaces `output`. With `bad_rows_path`, bad rows are written to a file, and
///   `{bad_rows_path, bad_rows}` replaces `rejected`.
/// - `filter`: `conditions` [{column, op, value}], `match` (all or any), `max_rows` (10,000). Returns `{rows, matched,
///   items, truncated}`. A cell is compared as a number if the condition's value is a number, and as a string if the
///   value is a string; an empty cell is null.
/// - `sample`: `n`, `seed` (0). Returns `{rows, items, seed}`; the same seed yields the same sample.
///
/// If a row has more or fewer cells than the header, or a quote is never closed, the call fails and
/// the error names the row's line, unless bad rows are collected. If bad rows are collected, a line
/// with an unclosed quote is a bad row, and reading continues with the next line. A quote counts as
/// unclosed if the text after it is not a cell that ends within 1,000 lines. It also counts as
/// unclosed if the row would have the wrong number of cells and a line within the quotes is a
/// complete row.
pub(crate) struct CsvAnalyzer {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    input: Option<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Analyze,
    Convert,
    Filter,
    Sample,
}

impl CsvAnalyzer {
    pub(crate) fn new(services: Services) -> Self {
        let mut parameters = object_schema(
            &["operation"],
            json!({
                "operation": { "enum": ["analyze", "convert", "filter", "sample"], "description": "The operation" },
                "input": { "type": "string", "description": "The CSV text; alternatively set `options.path`" },
                "options": options_schema(),
            }),
        );
        let has_path = json!({ "required": ["options"], "properties": { "options": { "required": ["path"] } } });
        let operation = |name: &str, option: &str| {
            json!({
                "if": { "properties": { "operation": { "const": name } }, "required": ["operation"] },
                "then": { "required": ["options"], "properties": { "options": { "required": [option] } } },
            })
        };
        parameters["allOf"] = json!([
            { "if": { "not": { "required": ["input"] } }, "then": has_path },
            {
                "if": {
                    "properties": { "operation": { "const": "convert" } },
                    "required": ["operation"],
                    "not": { "required": ["options"], "properties": { "options": { "required": ["output_path"] } } },
                },
                "then": { "required": ["options"], "properties": { "options": { "required": ["format"] } } },
            },
            operation("filter", "conditions"),
            operation("sample", "n"),
        ]);
        Self {
            spec: ToolSpec {
                security_level: SecurityLevel::Restricted,
                permissions: FILE_PERMISSIONS,
                ..data_spec(
                    "csv_analyzer",
                    "Analyzes the columns of CSV, converts it, filters its rows or takes a sample.",
                    parameters,
                    result_schema(),
                )
            },
            services,
        }
    }
}

#[async_trait]
impl Tool for CsvAnalyzer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn permissions(&self, parameters: &Value) -> &'static [Permission] {
        let options = &parameters["options"];
        match ["output_path", "bad_rows_path"].iter().any(|name| options.get(name).is_some()) {
            true => FILE_PERMISSIONS,
            false if options.get("path").is_some() => &[Permission::FilesRead],
            false => &[],
        }
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| run(parameters, &services, token)).await
    }
}

fn run(parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let Parameters { operation, input, options } = parameters;
    options.check(operation)?;
    let written = [("options.output_path", &options.output_path), ("options.bad_rows_path", &options.bad_rows_path)];
    let files = Files::locate(services, &[("options.path", options.path.as_slice())], &written)?;
    let mut rows = open(input, &options, &files, token)?;
    let infer = options.infer_types.unwrap_or(true);
    match operation {
        Operation::Analyze => analyze::analyze(&mut rows, check_limit("top", options.top.unwrap_or(5), TOP_MAX)?),
        Operation::Convert => {
            let conversion = Conversion::new(Format::of(&options)?, &options, rows.columns())?;
            convert::convert(rows, &conversion, files.create("options.output_path")?, token)
        }
        Operation::Filter => {
            let conditions = require(options.conditions, "options.conditions", "filter")?;
            let rows_max = check_limit("max_rows", options.max_rows.unwrap_or(ROWS_DEFAULT), ROWS_MAX)?;
            rows::filter(&mut rows, conditions, options.r#match.unwrap_or_default(), rows_max, infer)
        }
        Operation::Sample => {
            let n = check_limit("n", require(options.n, "options.n", "sample")?, ROWS_MAX)?;
            rows::sample(&mut rows, n, options.seed.unwrap_or_default(), infer)
        }
    }
}

/// Opens a call's table, and starts the file for its bad rows.
fn open<'c>(
    input: Option<String>,
    options: &Options,
    files: &Files<'_>,
    token: &'c CancellationToken,
) -> Result<Rows<'c>, ToolError> {
    let (source, name): (Box<dyn Read>, _) = match (input, files.get("options.path")) {
        (Some(text), None) => {
            check_text_size(text.len())?;
            (Box::new(io::Cursor::new(text)), "input".to_owned())
        }
        (None, Some(path)) => (Box::new(files.open(path)?), path.path().to_owned()),
        _ => return Err(invalid("missing_parameter", "exactly one of `input` and `options.path` is required")),
    };
    let bad = match RowWriter::create(files, "options.bad_rows_path")? {
        Some(writer) => BadRows::Write(Box::new(writer)),
        None if options.bad_rows == Some(OnBadRow::Collect) => BadRows::Collect(Vec::new()),
        None => BadRows::Fail,
    };
    let table = Table { source, name, delimiter: options.delimiter()?, has_headers: options.has_headers, bad };
    Rows::open(table, token)
}

/// Reads the rows of a CSV file for other tools, with the default options.
pub(crate) struct CsvRows<'c>(Rows<'c>);

impl<'c> CsvRows<'c> {
    /// Reads the header.
    pub(crate) fn of_file(file: InputFile, name: &str, token: &'c CancellationToken) -> Result<Self, ToolError> {
        let source = Box::new(file);
        let table = Table { source, name: name.to_owned(), delimiter: b',', has_headers: true, bad: BadRows::Fail };
        Rows::open(table, token).map(Self)
    }

    /// Puts the JSON text of the next row into `text`, and returns the line on which the row begins.
    pub(crate) fn next_object(&mut self, text: &mut Vec<u8>) -> Result<Option<u64>, ToolError> {
        if self.0.next()?.is_none() {
            return Ok(None);
        }
        text.clear();
        convert::ordered_object(text, self.0.columns(), self.0.row(), true)
            .expect("writing JSON to memory cannot fail");
        Ok(Some(self.0.line()))
    }
}

fn check_limit(name: &str, value: usize, max: usize) -> Result<usize, ToolError> {
    if value <= max {
        return Ok(value);
    }
    Err(too_large("option_too_large", format!("`options.{name}` must be at most {max}, got {value}")))
}

fn result_schema() -> Value {
    let rows = |about| json!({ "type": "array", "items": { "type": "object" }, "description": about });
    let count = |about| json!({ "type": "integer", "minimum": 0, "description": about });
    object_schema(
        &["rows"],
        json!({
            "rows": count("The number of rows in the table"),
            "columns": { "type": "array", "items": analyze::column_schema() },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"] },
            "output": {
                "type": ["array", "string"],
                "items": { "type": "object" },
                "description": "convert: the rows, as objects for format `json` and as text for the other formats",
            },
            "path": { "type": "string", "description": "convert: the file with the converted rows" },
            "rejected": rows("convert: the bad rows, if they are collected"),
            "bad_rows_path": { "type": "string", "description": "convert: the file with the bad rows" },
            "bad_rows": count("convert: the number of bad rows"),
            "matched": count("filter: the number of rows that match"),
            "items": rows("filter, sample: the rows as objects"),
            "truncated": { "type": "boolean", "description": "filter: whether more rows match than are returned" },
            "seed": { "type": "integer", "minimum": 0 },
        }),
    )
}
