//! Analyzes, converts, filters and samples CSV.

mod analyze;
mod cell;
mod quotes;
mod rows;
mod source;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::condition::{Match, condition_schema};
use super::support::{blocking, file_reader_spec, invalid, object_schema, read, require, too_large};
use crate::{Services, Tool, ToolContext, ToolError, ToolSpec};
use rows::{Condition, Format};
use source::Rows;

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
/// - `convert`: `format` (`json`: an array of objects; `jsonl`, `tsv`, `csv`: text), `bad_rows` (`fail` by default, or
///   `collect`), and for `json` `line_column`, the name of a field for the line on which a row begins. Returns `{format,
///   rows, output}`; with `bad_rows: collect` also `rejected`: `[{line, cells, problem}]`.
/// - `filter`: `conditions` [{column, op, value}], `match` (all or any), `max_rows` (10,000). Returns `{rows, matched,
///   items, truncated}`. A cell is compared as a number if the condition's value is a number, and as a string if the
///   value is a string; an empty cell is null.
/// - `sample`: `n`, `seed` (0). Returns `{rows, items, seed}`; the same seed yields the same sample.
///
/// If a row has more or fewer cells than the header, the call fails and the error names the row's line, unless bad rows
/// are collected.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: Option<String>,
    delimiter: Option<String>,
    #[serde(default = "enabled")]
    has_headers: bool,
    infer_types: Option<bool>,
    top: Option<usize>,
    format: Option<Format>,
    bad_rows: Option<BadRows>,
    line_column: Option<String>,
    conditions: Option<Vec<Condition>>,
    r#match: Option<Match>,
    max_rows: Option<usize>,
    n: Option<usize>,
    seed: Option<u64>,
}

/// What happens to rows with more or fewer cells than the header, or with invalid text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BadRows {
    Fail,
    Collect,
}

fn enabled() -> bool {
    true
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: None,
            delimiter: None,
            has_headers: true,
            infer_types: None,
            top: None,
            format: None,
            bad_rows: None,
            line_column: None,
            conditions: None,
            r#match: None,
            max_rows: None,
            n: None,
            seed: None,
        }
    }
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
            operation("convert", "format"),
            operation("filter", "conditions"),
            operation("sample", "n"),
        ]);
        Self {
            spec: file_reader_spec(
                "csv_analyzer",
                "Analyzes the columns of CSV, converts it, filters its rows or takes a sample.",
                parameters,
                result_schema(),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for CsvAnalyzer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
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
    let mut rows = Rows::open(input, &options, services, token)?;
    let infer = options.infer_types.unwrap_or(true);
    match operation {
        Operation::Analyze => analyze::analyze(&mut rows, check_limit("top", options.top.unwrap_or(5), TOP_MAX)?),
        Operation::Convert => {
            let format = require(options.format, "options.format", "convert")?;
            rows::convert(&mut rows, format, infer, options.line_column.as_deref())
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

fn check_limit(name: &str, value: usize, max: usize) -> Result<usize, ToolError> {
    if value <= max {
        return Ok(value);
    }
    Err(too_large("option_too_large", format!("`options.{name}` must be at most {max}, got {value}")))
}

impl Options {
    /// Rejects options that belong to other operations.
    fn check(&self, operation: Operation) -> Result<(), ToolError> {
        // Statistics and text formats do not convert cells.
        let returns_values = match operation {
            Operation::Analyze => false,
            Operation::Convert => matches!(self.format, Some(Format::Json | Format::Jsonl)),
            Operation::Filter | Operation::Sample => true,
        };
        let given = [
            ("infer_types", self.infer_types.is_some(), returns_values),
            ("top", self.top.is_some(), matches!(operation, Operation::Analyze)),
            ("format", self.format.is_some(), matches!(operation, Operation::Convert)),
            ("bad_rows", self.bad_rows.is_some(), matches!(operation, Operation::Convert)),
            ("line_column", self.line_column.is_some(), matches!(self.format, Some(Format::Json))),
            ("conditions", self.conditions.is_some(), matches!(operation, Operation::Filter)),
            ("match", self.r#match.is_some(), matches!(operation, Operation::Filter)),
            ("max_rows", self.max_rows.is_some(), matches!(operation, Operation::Filter)),
            ("n", self.n.is_some(), matches!(operation, Operation::Sample)),
            ("seed", self.seed.is_some(), matches!(operation, Operation::Sample)),
        ];
        match given.iter().find(|(_, is_given, is_accepted)| *is_given && !is_accepted) {
            None => Ok(()),
            Some((name, ..)) => Err(invalid("unused_option", format!("this operation does not use `options.{name}`"))),
        }
    }

    fn delimiter(&self) -> Result<u8, ToolError> {
        match self.delimiter.as_deref().map(str::as_bytes) {
            None => Ok(b','),
            Some([delimiter]) if delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\n' | b'\r') => Ok(*delimiter),
            Some(_) => {
                Err(invalid("invalid_delimiter", "`options.delimiter` must be a single ASCII character such as `;`"))
            }
        }
    }
}

fn options_schema() -> Value {
    json!({
        "type": "object",
        "description": "The format of the table, and options of the operation",
        "properties": {
            "path": { "type": "string", "minLength": 1, "description": "The path of a CSV file, instead of `input`" },
            "delimiter": { "type": "string", "minLength": 1, "maxLength": 1, "description": "The delimiter; `,` by default" },
            "has_headers": { "type": "boolean", "description": "Whether the first row contains the column names; true by default" },
            "infer_types": { "type": "boolean", "description": "Convert cells to numbers and booleans; true by default" },
            "top": { "type": "integer", "minimum": 0, "maximum": TOP_MAX, "description": "analyze: the number of frequent values per column; 5 by default" },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"], "description": "convert: the output format" },
            "bad_rows": { "enum": ["fail", "collect"], "description": "convert: whether rows with more or fewer cells than the header are an error, or are listed as `rejected`; `fail` by default" },
            "line_column": { "type": "string", "minLength": 1, "description": "convert to json: the name of a field for the line on which each row begins" },
            "conditions": { "type": "array", "items": condition_schema("column"), "description": "filter: the conditions on a row" },
            "match": { "enum": ["all", "any"], "description": "filter: whether all conditions must be met, or at least one; `all` by default" },
            "max_rows": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "filter: the maximum number of rows to return; 10,000 by default" },
            "n": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "sample: the number of rows" },
            "seed": { "type": "integer", "minimum": 0, "description": "sample: the seed; 0 by default" },
        },
        "additionalProperties": false,
    })
}

fn result_schema() -> Value {
    let rows = |about| json!({ "type": "array", "items": { "type": "object" }, "description": about });
    object_schema(
        &["rows"],
        json!({
            "rows": { "type": "integer", "minimum": 0, "description": "The number of rows in the table" },
            "columns": { "type": "array", "items": analyze::column_schema() },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"] },
            "output": {
                "type": ["array", "string"],
                "items": { "type": "object" },
                "description": "convert: the rows as objects, for every other format than `json` as text",
            },
            "rejected": rows("convert: the bad rows, if they are collected"),
            "matched": { "type": "integer", "minimum": 0, "description": "filter: the number of rows that match" },
            "items": rows("filter, sample: the rows as objects"),
            "truncated": { "type": "boolean", "description": "filter: whether more rows match than are returned" },
            "seed": { "type": "integer", "minimum": 0 },
        }),
    )
}
