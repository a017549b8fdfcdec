//! Transforms objects: map, filter, select, rename, sort, group, flatten, unique, join.

mod group;
mod mapping;
mod reshape;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::condition::{Match, Operator, Test, condition_schema};
use super::path::FieldPath;
use super::support::{
    CANCEL_EVERY, OperationParameters, blocking, check_cancelled, check_operation, data_spec, invalid, object_schema,
    objects, per_operation, read, require,
};
use crate::{Tool, ToolContext, ToolError, ToolSpec};
use reshape::{JoinOn, SortKey};

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
/// | `join` | `with`, `on` {left, right}, `kind` inner or left, `prefix` | an object for each pair |
///
/// If `input` is an object, it is treated as a single item, and `map`, `select`, `rename` and `flatten` return an
/// object. A missing source is an error unless it has a `default`. The result is `{result, items_in, items_out}`.
pub(crate) struct DataTransformer {
    spec: ToolSpec,
}

const OPERATIONS: [OperationParameters; 9] = [
    ("map", &["input", "mapping"], &["constants"]),
    ("filter", &["input", "conditions"], &["match"]),
    ("select", &["input", "fields"], &[]),
    ("rename", &["input", "mapping"], &[]),
    ("sort", &["input", "by"], &[]),
    ("group_by", &["input", "fields"], &["aggregates"]),
    ("flatten", &["input"], &["separator"]),
    ("unique", &["input"], &["fields"]),
    ("join", &["input", "with", "on"], &["kind", "prefix"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    input: Value,
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

/// Reads an explicit null as a value so that it differs from a missing field.
fn some_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl DataTransformer {
    pub(crate) fn new() -> Self {
        let result = json!({
            "result": { "type": ["object", "array"], "items": { "type": "object" } },
            "items_in": { "type": "integer", "minimum": 0 },
            "items_out": { "type": "integer", "minimum": 0 },
        });
        Self {
            spec: data_spec(
                "data_transformer",
                "Maps, filters, selects, renames, sorts, groups, flattens and joins objects.",
                per_operation(object_schema(&["operation", "input"], parameters_schema()), &OPERATIONS),
                object_schema(&["result", "items_in", "items_out"], result),
            ),
        }
    }
}

#[async_trait]
impl Tool for DataTransformer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        check_operation(&parameters, &OPERATIONS)?;
        let parameters: Parameters = read(parameters)?;
        blocking(context, |token| transform(parameters, token)).await
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

fn transform(parameters: Parameters, token: &CancellationToken) -> Result<Value, ToolError> {
    let operation = parameters.operation;
    let (items, is_array) = objects(parameters.input.clone())?;
    let items_in = items.len();
    let output = apply(parameters, items, token)?;
    let items_out = output.len();
    let one_to_one = matches!(operation, Operation::Map | Operation::Select | Operation::Rename | Operation::Flatten);
    let mut output = output.into_iter().map(Value::Object);
    let result = match output.next() {
        Some(one) if one_to_one && !is_array => one,
        first => first.into_iter().chain(output).collect(),
    };
    Ok(json!({ "result": result, "items_in": items_in, "items_out": items_out }))
}

fn apply(parameters: Parameters, mut items: Vec<Item>, token: &CancellationToken) -> Result<Vec<Item>, ToolError> {
    let fields = |operation: &str| paths(require(parameters.fields.as_deref(), "fields", operation)?);
    match parameters.operation {
        Operation::Map => {
            let mapping = require(parameters.mapping, "mapping", "map")?;
            map(mapping::Mapping::new(mapping, parameters.constants.unwrap_or_default())?, &items, token)
        }
        Operation::Filter => {
            filter(items, require(parameters.conditions, "conditions", "filter")?, parameters.r#match, token)
        }
        Operation::Select => reshape::select(items, &fields("select")?),
        Operation::Rename => reshape::rename(items, &require(parameters.mapping, "mapping", "rename")?),
        Operation::Sort => {
            reshape::sort(&mut items, require(parameters.by, "by", "sort")?)?;
            Ok(items)
        }
        Operation::GroupBy => group::group_by(&items, &fields("group_by")?, parameters.aggregates.unwrap_or_default()),
        Operation::Flatten => reshape::flatten(items, parameters.separator.as_deref().unwrap_or(".")),
        Operation::Unique => Ok(reshape::unique(items, &paths(parameters.fields.as_deref().unwrap_or_default())?)),
        Operation::Join => {
            let (with, _) = objects(require(parameters.with, "with", "join")?)?;
            let on = require(parameters.on, "on", "join")?;
            reshape::join(items, &with, &on, parameters.kind, parameters.prefix.as_deref().unwrap_or_default())
        }
    }
}

fn map(mapping: mapping::Mapping, items: &[Item], token: &CancellationToken) -> Result<Vec<Item>, ToolError> {
    let one = |(index, item): (usize, &Item)| {
        if index.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        mapping.apply(item, index)
    };
    items.iter().enumerate().map(one).collect()
}

fn filter(
    items: Vec<Item>,
    conditions: Vec<Condition>,
    matching: Match,
    token: &CancellationToken,
) -> Result<Vec<Item>, ToolError> {
    let tests = conditions
        .into_iter()
        .map(|condition| Ok((reshape::path(&condition.field)?, test(condition)?)))
        .collect::<Result<Vec<_>, ToolError>>()?;
    let mut kept = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if index.is_multiple_of(CANCEL_EVERY) {
            check_cancelled(token)?;
        }
        if matching.combine(tests.iter().map(|(path, test)| test.passes(path.get_in(&item)))) {
            kept.push(item);
        }
    }
    Ok(kept)
}

fn test(condition: Condition) -> Result<Test, ToolError> {
    Test::new(condition.op, condition.value)
        .map_err(|why| invalid("invalid_condition", format!("invalid condition on `{}`: {why}", condition.field)))
}

fn paths(fields: &[String]) -> Result<Vec<FieldPath>, ToolError> {
    fields.iter().map(|field| reshape::path(field)).collect()
}
