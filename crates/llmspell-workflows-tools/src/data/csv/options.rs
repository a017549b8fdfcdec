use serde::Deserialize;
use serde_json::{Value, json};

use super::convert::Format;
use super::rows::Condition;
use super::{Operation, ROWS_MAX, TOP_MAX};
use crate::ToolError;
use crate::data::condition::{Match, condition_schema};
use crate::data::row_files::path_schema;
use crate::data::support::invalid;

/// The format of the table, and the options of all operations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    pub(super) path: Option<String>,
    pub(super) delimiter: Option<String>,
    #[serde(default = "enabled")]
    pub(super) has_headers: bool,
    pub(super) infer_types: Option<bool>,
    pub(super) top: Option<usize>,
    pub(super) format: Option<Format>,
    pub(super) bad_rows: Option<OnBadRow>,
    pub(super) bad_rows_path: Option<String>,
    pub(super) output_path: Option<String>,
    pub(super) line_column: Option<String>,
    pub(super) text_column: Option<String>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) r#match: Option<Match>,
    pub(super) max_rows: Option<usize>,
    pub(super) n: Option<usize>,
    pub(super) seed: Option<u64>,
}

/// How to handle rows with more or fewer cells than the header, with invalid text, or with an
/// unclosed quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnBadRow {
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
            bad_rows_path: None,
            output_path: None,
            line_column: None,
            text_column: None,
            conditions: None,
            r#match: None,
            max_rows: None,
            n: None,
            seed: None,
        }
    }
}

impl Options {
    /// Rejects options of other operations.
    pub(super) fn check(&self, operation: Operation) -> Result<(), ToolError> {
        // Statistics and text formats do not convert cells.
        let returns_values = match operation {
            Operation::Analyze => false,
            Operation::Convert => matches!(Format::of(self)?, Format::Json | Format::Jsonl),
            Operation::Filter | Operation::Sample => true,
        };
        let converts = matches!(operation, Operation::Convert);
        let given = [
            ("infer_types", self.infer_types.is_some(), returns_values),
            ("top", self.top.is_some(), matches!(operation, Operation::Analyze)),
            ("format", self.format.is_some(), converts),
            ("output_path", self.output_path.is_some(), converts),
            ("bad_rows", self.bad_rows.is_some(), converts),
            ("bad_rows_path", self.bad_rows_path.is_some(), converts && self.bad_rows != Some(OnBadRow::Fail)),
            ("line_column", self.line_column.is_some(), converts && returns_values),
            ("text_column", self.text_column.is_some(), converts && returns_values),
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

    /// Returns the delimiter as a byte.
    pub(super) fn delimiter(&self) -> Result<u8, ToolError> {
        match self.delimiter.as_deref().map(str::as_bytes) {
            None => Ok(b','),
            Some([delimiter]) if delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\n' | b'\r') => Ok(*delimiter),
            Some(_) => {
                Err(invalid("invalid_delimiter", "`options.delimiter` must be a single ASCII character such as `;`"))
            }
        }
    }
}

/// Returns the schema of the options.
pub(super) fn options_schema() -> Value {
    let name = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
    json!({
        "type": "object",
        "description": "The format of the table, and options of the operation",
        "properties": {
            "path": path_schema("The path of a CSV file, instead of `input`"),
            "delimiter": { "type": "string", "minLength": 1, "maxLength": 1, "description": "The delimiter; `,` by default" },
            "has_headers": { "type": "boolean", "description": "Whether the first row contains the column names; true by default" },
            "infer_types": { "type": "boolean", "description": "Convert cells to numbers and booleans; true by default" },
            "top": { "type": "integer", "minimum": 0, "maximum": TOP_MAX, "description": "analyze: the number of frequent values per column; 5 by default" },
            "format": { "enum": ["json", "jsonl", "tsv", "csv"], "description": "convert: the output format; with `output_path`, the file extension by default" },
            "output_path": path_schema("convert: a file for the converted rows; the result then omits them"),
            "bad_rows": { "enum": ["fail", "collect"], "description": "convert: whether rows with more or fewer cells than the header, invalid text or an unclosed quote are an error, or are listed as `rejected`; `fail` by default" },
            "bad_rows_path": path_schema("convert: a `.jsonl` file for bad rows, `{line, text, cells, problem}`, which are then neither an error nor listed"),
            "line_column": name("convert to json or jsonl: the name of a field for the line on which each row begins"),
            "text_column": name("convert to json or jsonl: the name of a field for the text of each row"),
            "conditions": { "type": "array", "items": condition_schema("column"), "description": "filter: the conditions on a row" },
            "match": { "enum": ["all", "any"], "description": "filter: whether all conditions must be met, or at least one; `all` by default" },
            "max_rows": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "filter: the maximum number of rows to return; 10,000 by default" },
            "n": { "type": "integer", "minimum": 0, "maximum": ROWS_MAX, "description": "sample: the number of rows" },
            "seed": { "type": "integer", "minimum": 0, "description": "sample: the seed; 0 by default" },
        },
        "additionalProperties": false,
        "allOf": [{
            "if": { "properties": { "bad_rows": { "const": "fail" } }, "required": ["bad_rows"] },
            "then": { "description": "`bad_rows_path` cannot be used with `bad_rows: fail`", "properties": { "bad_rows_path": false } },
        }],
    })
}
