//! Transforms objects: map, filter, select, rename, sort, group, flatten, unique, join.

mod accumulator;
mod group;
mod mapping;
mod reshape;
mod stage;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::condition::{Match, Operator, condition_schema};
use super::row_files::{
    self, Files, InputPaths, input_path_schema, one_input, path_schema, rows_spec, with_conditions,
};
use super::support::{
    CANCEL_EVERY, OperationParameters, blocking, check_cancelled, check_operation, invalid, object_schema, objects,
    per_operation, read, some_value,
};
use crate::{Permission, Services, Tool, ToolContext, ToolError, ToolSpec};
use reshape::{JoinOn, SortKey};
use stage::{Output, Stage};

type Item = Map<String, Value>;

/// Transforms an object or an array of objects.
///
/// | operation | parameters | result |
/// |---|---|---|
/// | `map` | `mapping` {source path: target path, {to, default, type} or a list of these}, `constants` {target path: value} | a new object for each item |
/// | `filter` | `conditions` [{field, op, value}], `match` all or any | the items that pass |
/// | `select` | `fields` | the items with only these fields |
/// | `rename` | `mapping` {old name: new name} | the items with renamed fields |
/// | `sort` | `by` [path, or {field, order: asc or desc}] | the sorted items |
/// | `group_by` | `fields`, `aggregates` {target: {op, field}} | an object for each group |
/// | `flatten` | `separator` | the items without nesting |
/// | `unique` | `fields`; all fields by default | the first item of each group of equal items |
/// | `join` | `with` or `with_path`, `on` {left, right}, `kind` inner or left, `prefix` | an object for each pair |
///
/// If `input` is an object, it is treated as a single item, and `map`, `select`, `rename` and `flatten` return an
/// object. A missing source is an error unless it has a `default`. The result is `{result, items_in, items_out}`.
///
/// With `input_path` instead of `input`, the items are the rows of a file, read one at a time. With
/// `output_path`, the resulting items are written to a file, and `{path, rows}` replaces `result`.
/// `filter` and `unique` can write the items they drop to the file `dropped_path`.
///
/// Some operations hold data in memory, up to `rows_held_bytes_max` in the policy: `sort` holds the
/// text of all rows, `unique` and `group_by` hold the values that distinguish the items or groups,
/// and `join` holds the right side. All other operations hold one row.
pub(crate) struct DataTransformer {
    spec: ToolSpec,
    services: Services,
}

const OPERATIONS: [OperationParameters; 9] = [
    ("map", &["mapping"], &["input", "input_path", "output_path", "constants"]),
    ("filter", &["conditions"], &["input", "input_path", "output_path", "dropped_path", "match"]),
    ("select", &["fields"], &["input", "input_path", "output_path"]),
    ("rename", &["mapping"], &["input", "input_path", "output_path"]),
    ("sort", &["by"], &["input", "input_path", "output_path"]),
    ("group_by", &["fields"], &["input", "input_path", "output_path", "aggregates"]),
    ("flatten", &[], &["input", "input_path", "output_path", "separator"]),
    ("unique", &[], &["input", "input_path", "output_path", "dropped_path", "fields"]),
    ("join", &["on"], &["input", "input_path", "output_path", "with", "with_path", "kind", "prefix"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    input: Option<Value>,
    input_path: Option<InputPaths>,
    output_path: Option<String>,
    dropped_path: Option<String>,
    mapping: Option<Map<String, Value>>,
    constants: Option<Map<String, Value>>,
    conditions: Option<Vec<Condition>>,
    #[serde(default)]
    r#match: Match,
    fields: Option<Vec<String>>,
    by: Option<Vec<SortKey>>,
    aggregates: Option<Map<String, Value>>,
    separator: Option<String>,
    with: Option<Value>,
    with_path: Option<String>,
    on: Option<JoinOn>,
    #[serde(default)]
    kind: reshape::Kind,
    prefix: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Map,
    Filter,
    Select,
    Rename,
    Sort,
    GroupBy,
    Flatten,
    Unique,
    Join,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    field: String,
    op: Operator,
    #[serde(default, deserialize_with = "some_value")]
    value: Option<Value>,
}

impl DataTransformer {
    pub(crate) fn new(services: Services) -> Self {
        let result = json!({
            "result": { "type": ["object", "array"], "items": { "type": "object" } },
            "items_in": { "type": "integer", "minimum": 0 },
            "items_out": { "type": "integer", "minimum": 0 },
            "path": { "type": "string", "description": "The file with the resulting items" },
            "rows": { "type": "integer", "minimum": 0, "description": "The number of items in the file" },
            "dropped_path": { "type": "string" },
            "dropped": { "type": "integer", "minimum": 0, "description": "The number of items in `dropped_path`" },
        });
        let parameters = per_operation(object_schema(&["operation"], parameters_schema()), &OPERATIONS);
        let with_path = json!({ "required": ["with_path"] });
        let one_right_side = [
            json!({
                "if": { "properties": { "operation": { "const": "join" } }, "required": ["operation"], "not": with_path },
                "then": { "required": ["with"] },
            }),
            json!({
                "if": with_path,
                "then": { "description": "set either `with` or `with_path`", "properties": { "with": false } },
            }),
        ];
        Self {
            spec: rows_spec(
                "data_transformer",
                "Maps, filters, selects, renames, sorts, groups, flattens and joins objects.",
                with_conditions(parameters, one_input().into_iter().chain(one_right_side)),
                object_schema(&["items_in", "items_out"], result),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for DataTransformer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn permissions(&self, parameters: &Value) -> &'static [Permission] {
        row_files::permissions(parameters)
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        check_operation(&parameters, &OPERATIONS)?;
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| transform(parameters, &services, token)).await
    }
}

fn parameters_schema() -> Value {
    let objects = json!({
        "type": ["object", "array", "string"],
        "items": { "type": "object" },
        "description": "An object, an array of objects, or the JSON text of either",
    });
    let path = json!({ "type": "string", "minLength": 1 });
    json!({
        "operation": { "enum": [
            "map", "filter", "select", "rename", "sort", "group_by", "flatten", "unique", "join",
        ], "description": "The operation" },
        "input": objects,
        "input_path": input_path_schema(),
        "output_path": path_schema("A `.jsonl` file for the resulting items; the result then omits them"),
        "dropped_path": path_schema("filter, unique: a `.jsonl` file for the dropped items"),
        "mapping": mapping::mapping_schema(),
        "constants": { "type": "object", "description": "For `map`: fields with fixed values, {target: value}" },
        "conditions": { "type": "array", "items": condition_schema("field"), "description": "The conditions on an item" },
        "match": { "enum": ["all", "any"], "description": "Whether all conditions must be met, or at least one; `all` by default" },
        "fields": { "type": "array", "items": path, "minItems": 1, "description": "Paths of fields" },
        "by": { "type": "array", "description": "The sort keys, most significant first", "minItems": 1, "items": { "oneOf": [
            path,
            {
                "type": "object",
                "required": ["field"],
                "properties": { "field": path, "order": { "enum": ["asc", "desc"] } },
                "additionalProperties": false,
            },
        ] } },
        "aggregates": group::aggregates_schema(),
        "separator": { "type": "string", "minLength": 1, "description": "The separator between names; `.` by default" },
        "with": objects,
        "with_path": path_schema("A file with the right side of a join instead of `with`"),
        "on": {
            "type": "object",
            "description": "The paths of the join keys, whose values must be equal",
            "required": ["left", "right"],
            "properties": { "left": path, "right": path },
            "additionalProperties": false,
        },
        "kind": { "enum": ["inner", "left"], "description": "Whether to drop (`inner`) or keep (`left`) items without a match; `inner` by default" },
        "prefix": { "type": "string", "description": "A prefix for the field names of the right side" },
    })
}

fn transform(mut parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let operation = parameters.operation;
    let read = [("input_path", InputPaths::of(&parameters.input_path)), ("with_path", parameters.with_path.as_slice())];
    let written = [("output_path", &parameters.output_path), ("dropped_path", &parameters.dropped_path)];
    let files = Files::locate(services, &read, &written)?;
    let (items, is_array) = match (parameters.input.take(), files.get("input_path")) {
        (Some(input), None) => objects(input, "input")?,
        (None, Some(_)) => (Vec::new(), true),
        _ => return Err(invalid("missing_parameter", "exactly one of `input` and `input_path` is required")),
    };
    let mut stage = Stage::new(parameters, &files, token)?;
    let mut source = files.rows("input_path", token)?;
    let mut output = Output::create(&files)?;
    let mut items_in = 0_usize;
    for item in items {
        if items_in.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        stage.take(item, items_in, None, &mut output)?;
        items_in += 1;
    }
    if let Some(source) = &mut source {
        while let Some(item) = source.next_object()? {
            let text = source.line_text().map_or_else(|| json!(item).to_string().into_bytes().into(), Cow::Borrowed);
            stage.take(item, items_in, Some(&text), &mut output).map_err(|error| source.error(error))?;
            items_in += 1;
        }
    }
    stage.finish(&mut output)?;
    let one_to_one = matches!(operation, Operation::Map | Operation::Select | Operation::Rename | Operation::Flatten);
    let mut result = output.finish(token)?;
    if let (true, false, Some(items)) = (one_to_one, is_array, result.get_mut("result").and_then(Value::as_array_mut)) {
        result["result"] = items.pop().unwrap_or_default();
    }
    result["items_in"] = json!(items_in);
    Ok(result)
}
