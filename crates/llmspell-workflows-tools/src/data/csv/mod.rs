//! Analyses, converts, filters and samples CSV.

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
use super::support::{blocking, invalid, needed, object_schema, read, reading_spec, too_large};
use crate::{Services, Tool, ToolContext, ToolError, ToolSpec};
use rows::{Condition, Format};
use source::Rows;

/// How many rows `filter` lists and `sample` gives at most.
const ROWS_MAX: usize = 100_000;

/// How many rows `filter` lists unless `max_rows` says otherwise.
const ROWS_DEFAULT: usize = 10_000;

/// How many of a column's most frequent values can be asked for.
const TOP_MAX: usize = 1000;

/// Analyses, converts, filters and samples CSV, row by row.
///
/// The table is the text `input`, or the file `options.path` within the policy's `read_roots`. `options` are:
/// `delimiter` (one ASCII character, `,`), `has_headers` (true; else columns are `column_1` and so on), `infer_types`
/// (true: numbers, booleans and empty cells become JSON's own), and by operation
///
/// - `analyze`: `top` (5), how many frequent values; gives `{rows, columns: [{name, type, count, nulls, distinct, top, min,
///   max, mean, median, stddev}]}`.
/// - `convert`: `format` (`json`: an array of objects; `jsonl`, `tsv`, `csv`: a text); gives `{format, rows, output}`.
/// - `filter`: `conditions` [{column, op, value}], `match` (all or any), `max_rows` (10,000); gives `{rows, matched, items,
///   truncated}`. A cell is compared as a number with a number, as a text with a text; an empty one is null.
/// - `sample`: `n`, `seed` (0); gives `{rows, items, seed}`, the same for the same seed.
///
/// A row with more or fewer cells than the header is an error that names its line.
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
    #[serde(default = "yes")]
    has_headers: bool,
    infer_types: Option<bool>,
    top: Option<usize>,
    format: Option<Format>,
    conditions: Option<Vec<Condition>>,
    r#match: Option<Match>,
    max_rows: Option<usize>,
    n: Option<usize>,
    seed: Option<u64>,
}

fn yes() -> bool {
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
                "operation": { "enum": ["analyze", "convert", "filter", "sample"], "description": "What to do with the table" },
                "input": { "type": "string", "description": "The CSV text; else give `options.path`" },
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
            spec: reading_spec(
                "csv_analyzer",
                "Analyses the columns of CSV, converts it, filters its rows or takes a sample.",
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
        Operation::Analyze => analyze::analyze(&mut rows, bounded("top", options.top.unwrap_or(5), TOP_MAX)?),
        Operation::Convert => rows::convert(&mut rows, needed(options.format, "options.format", "convert")?, infer),
        Operation::Filter => {
            let conditions = needed(options.conditions, "options.conditions", "filter")?;
            let rows_max = bounded("max_rows", options.max_rows.unwrap_or(ROWS_DEFAULT), ROWS_MAX)?;
            rows::filter(&mut rows, conditions, options.r#match.unwrap_or_default(), rows_max, infer)
        }
        Operation::Sample => {
            let n = bounded("n", needed(options.n, "options.n", "sample")?, ROWS_MAX)?;
            rows::sample(&mut rows, n, options.seed.unwrap_or_default(), infer)
        }
    }
}

fn bounded(name: &str, value: usize, max: usize) -> Result<usize, ToolError> {
    if value <= max {
        return Ok(value);
    }
    Err(too_large("option_too_large", format!("`options.{name}` is {value}; at most {max} is allowed")))
}

impl Options {
    /// Refuses options of other operations, which would mean nothing.
    fn check(&self, operation: Operation) -> Result<(), ToolError> {
        // Statistics and texts are made of the cells as they are written.
        let gives_values = match operation {
            Operation::Analyze => false,
            Operation::Convert => matches!(self.format, Some(Format::Json | Format::Jsonl)),
            Operation::Filter | Operation::Sample => true,
        };
        let given = [
            ("infer_types", self.infer_types.is_some(), gives_values),
            ("top", self.top.is_some(), matches!(operation, Operation::Analyze)),
            ("format", self.format.is_some(), matches!(operation, Operation::Convert)),
            ("conditions", self.conditions.is_some(), matches!(operation, Operation::Filter)),
            ("match", self.r#match.is_some(), matches!(operation, Operation::Filter)),
            ("max_rows", self.max_rows.is_some(), matches!(operation, Operation::Filter)),
            ("n", self.n.is_some(), matches!(operation, Operation::Sample)),
            ("seed", self.seed.is_some(), matches!(operation, Operation::Sample)),
        ];
        match given.iter().find(|(_, is_given, means_something)| *is_given && !means_something) {
            None => Ok(()),
            Some((name, ..)) => {
                Err(invalid("unused_option", format!("`options.{name}` means nothing to this operation")))
            }
        }
    }

    fn delimiter(&self) -> Result<u8, ToolError> {
        match self.delimiter.as_deref().map(str::as_bytes) {
            None => Ok(b','),
            Some([delimiter]) if delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\n' | b'\r') => Ok(*delimiter),
            Some(_) => {
                Err(invalid("invalid_delimiter", "`options.delimiter` should be one ASCII character, such as `;`"))
            }
        }
    }
}

fn options_schema() -> Value {
    json!({
        "type": "object",
        "description": "How the table is read, and what the operation needs",
        "properties": {
            "path": { "type": "string", "minLength": 1, "description": "A file, instead of `input`" },
            "delimiter": { "type": "string", "minLength": 1, "maxLength": 1, "description": "`,` by default" },
            "has_headers": { "type": "boolean", "description": "Whether the first row has the names; it has by default" },
            "infer_types": { "type": "boolean", "description": "Whether cells become numbers and booleans; they do by default" },
            "top": { "type": "integer", "minimum": 0, "maximum": TOP_MAX, "description": "analyze: how many frequent values" },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"], "description": "convert: what to" },
            "conditions": { "type": "array", "items": condition_schema("column"), "description": "filter: what rows must pass" },
            "match": { "enum": ["all", "any"], "description": "filter: which conditions must hold; `all` by default" },
            "max_rows": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "filter: how many rows to list" },
            "n": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "sample: how many rows" },
            "seed": { "type": "integer", "minimum": 0, "description": "sample: 0 by default" },
        },
        "additionalProperties": false,
    })
}

fn result_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    object_schema(
        &["rows"],
        json!({
            "rows": count,
            "columns": { "type": "array", "items": analyze::column_schema() },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"] },
            "output": { "type": ["array", "string"], "items": { "type": "object" } },
            "matched": count,
            "items": { "type": "array", "items": { "type": "object" } },
            "truncated": { "type": "boolean" },
            "seed": count,
        }),
    )
}
