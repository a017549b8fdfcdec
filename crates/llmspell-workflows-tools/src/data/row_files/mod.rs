//! Rows in files. Tools read and write one row at a time, so a table of any length takes up little
//! memory and is not part of a step's parameters or results.
//!
//! - [`RowReader`] reads the rows of a file in JSON Lines (`.jsonl`, `.ndjson`), CSV (`.csv`), or a JSON array (`.json`).
//! - [`RowWriter`] writes rows as JSON Lines, the format that tools exchange. `file_writer`
//!   converts them to CSV or JSON.
//! - [`Files`] resolves all paths of a call under the policy's roots before it opens any file.
//!
//! An output file appears under its name only once it is complete, so a failed call leaves no
//! partial file behind. A call repeated after a crash writes the same file again.

mod array;
mod file;
mod held;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::slice;

use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use file::{Files, InputFile, OutputFile, tool_error};
pub(crate) use held::Held;
pub(crate) use reader::RowReader;
pub(crate) use writer::{RowOutput, RowWriter, text_bytes};

use super::support::{data_spec, too_large};
use crate::{Permission, SecurityLevel, ToolError, ToolSpec};

/// The maximum size of a row in a file, in bytes of its text.
pub(crate) const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The permissions required by a call that names a file.
pub(crate) const FILE_PERMISSIONS: &[Permission] = &[Permission::FilesRead, Permission::FilesWrite];

/// The parameters that name row files.
const PATH_PARAMETERS: [&str; 6] =
    ["input_path", "output_path", "dropped_path", "valid_path", "invalid_path", "with_path"];

/// Returns the permissions for calling a tool that works in memory unless a parameter names a file.
pub(crate) fn permissions(parameters: &Value) -> &'static [Permission] {
    if PATH_PARAMETERS.iter().any(|name| parameters.get(name).is_some()) { FILE_PERMISSIONS } else { &[] }
}

/// Creates the spec of a tool that works in memory unless a parameter names a file.
pub(crate) fn rows_spec(name: &'static str, description: &'static str, parameters: Value, result: Value) -> ToolSpec {
    ToolSpec {
        security_level: SecurityLevel::Restricted,
        permissions: FILE_PERMISSIONS,
        ..data_spec(name, description, parameters, result)
    }
}

/// Returns the schema of a parameter that names a file.
pub(crate) fn path_schema(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description })
}

/// The parameter `input_path`: a file, or several files read one after the other.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum InputPaths {
    One(String),
    Several(Vec<String>),
}

impl InputPaths {
    /// Returns all paths of a parameter that may be missing.
    pub(crate) fn of(parameter: &Option<Self>) -> &[String] {
        match parameter {
            None => &[],
            Some(Self::One(path)) => slice::from_ref(path),
            Some(Self::Several(paths)) => paths,
        }
    }
}

/// Returns the schema of the parameter `input_path`.
pub(crate) fn input_path_schema() -> Value {
    json!({
        "type": ["string", "array"],
        "minLength": 1,
        "items": { "type": "string", "minLength": 1 },
        "minItems": 1,
        "description": "A file of rows instead of `input`, or a list of files: `.jsonl`, `.ndjson`, `.csv`, or a `.json` array",
    })
}

/// Returns the condition that exactly one of `input` and `input_path` is set, for a schema's
/// `allOf`.
pub(crate) fn one_input() -> [Value; 2] {
    let path = json!({ "required": ["input_path"] });
    [
        json!({
            "if": path,
            "then": { "description": "set either `input` or `input_path`", "properties": { "input": false } },
        }),
        json!({ "if": { "not": path }, "then": { "required": ["input"] } }),
    ]
}

/// Returns the condition that `name` may be used only together with `other`, for a schema's
/// `allOf`.
pub(crate) fn needs(name: &str, other: &str) -> Value {
    json!({
        "if": { "not": { "required": [other] } },
        "then": { "description": format!("`{name}` requires `{other}`"), "properties": { name: false } },
    })
}

/// Adds conditions to the `allOf` of a schema.
pub(crate) fn with_conditions(mut schema: Value, conditions: impl IntoIterator<Item = Value>) -> Value {
    match schema["allOf"].as_array_mut() {
        Some(all) => all.extend(conditions),
        None => schema["allOf"] = conditions.into_iter().collect(),
    }
    schema
}

fn row_too_large(place: &str) -> ToolError {
    too_large("row_too_large", format!("{place} is longer than {ROW_BYTES_MAX} bytes, the limit `ROW_BYTES_MAX`"))
        .with_help("store large values in separate files, and their paths in the rows")
}
