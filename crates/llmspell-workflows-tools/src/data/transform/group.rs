use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use crate::data::order::{compare, identity};
use crate::data::path::FieldPath;
use crate::data::support::{invalid, kind_of};
use crate::{ToolError, integers};

type Item = Map<String, Value>;

/// The function that an aggregate computes over the items of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AggregateFunction {
    /// The number of items; with a field, the number of items that have the field.
    Count,
    /// The number of distinct values.
    CountDistinct,
    /// The sum of the values.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// All values, as an array.
    Collect,
}

/// The parameters of an aggregate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateParameters {
    op: AggregateFunction,
    field: Option<String>,
}

/// Returns the schema of `aggregates`.
pub(super) fn aggregates_schema() -> Value {
    json!({
        "type": "object",
        "description": "For `group_by`: {target: {op, field}}; missing and null values are ignored",
        "additionalProperties": {
            "type": "object",
            "required": ["op"],
            "properties": {
                "op": { "enum": [
                    "count", "count_distinct", "sum", "mean", "min", "max", "first", "last", "collect",
                ] },
                "field": { "type": "string", "minLength": 1, "description": "A path; required except for `count`" },
            },
            "additionalProperties": false,
        },
    })
}

/// Returns an object per group, in the order in which the groups first appear: the grouping fields, then the
/// aggregates.
///
/// If an item lacks a grouping field, the field becomes null.
pub(super) fn group_by(
    items: &[Item],
    fields: &[FieldPath],
    aggregates: Map<String, Value>,
) -> Result<Vec<Item>, ToolError> {
    let aggregates = aggregates
        .into_iter()
        .map(|(target, parameters)| Aggregate::new(target, parameters))
        .collect::<Result<Vec<_>, _>>()?;
    let mut groups: Vec<(Vec<Value>, Vec<&Item>)> = Vec::new();
    let mut indices: HashMap<String, usize> = HashMap::new();
    for item in items {
        let key: Vec<Value> = fields.iter().map(|field| field.get_in(item).cloned().unwrap_or(Value::Null)).collect();
        let index = *indices.entry(identity(&json!(key))).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(item);
    }
    groups.into_iter().map(|(key, items)| aggregate_group(fields, key, &aggregates, &items)).collect()
}

fn aggregate_group(
    fields: &[FieldPath],
    key: Vec<Value>,
    aggregates: &[Aggregate],
    items: &[&Item],
) -> Result<Item, ToolError> {
    let mut group = Map::new();
    let values = aggregates.iter().map(|aggregate| Ok((&aggregate.target, aggregate.compute(items)?)));
    let values = values.collect::<Result<Vec<_>, ToolError>>()?;
    for (path, value) in fields.iter().zip(key).chain(values) {
        path.set(&mut group, value).map_err(|why| invalid("invalid_fields", why))?;
    }
    Ok(group)
}

struct Aggregate {
    target: FieldPath,
    function: AggregateFunction,
    field: Option<FieldPath>,
}

impl Aggregate {
    fn new(target: String, parameters: Value) -> Result<Self, ToolError> {
        let refuse = |why: String| invalid("invalid_aggregate", format!("invalid aggregate `{target}`: {why}"));
        let parameters: AggregateParameters =
            serde_json::from_value(parameters).map_err(|error| refuse(error.to_string()))?;
        let field = parameters.field.as_deref().map(FieldPath::parse).transpose().map_err(refuse)?;
        if field.is_none() && parameters.op != AggregateFunction::Count {
            return Err(refuse("`field` is required".to_owned()));
        }
        let target = FieldPath::parse(&target).map_err(refuse)?;
        Ok(Self { target, function: parameters.op, field })
    }

    fn compute(&self, items: &[&Item]) -> Result<Value, ToolError> {
        let Some(field) = &self.field else {
            return Ok(json!(items.len()));
        };
        let values: Vec<&Value> =
            items.iter().filter_map(|item| field.get_in(item)).filter(|value| !value.is_null()).collect();
        let one = |value: Option<&&Value>| value.map_or(Value::Null, |value| (*value).clone());
        Ok(match self.function {
            AggregateFunction::Count => json!(values.len()),
            AggregateFunction::CountDistinct => {
                json!(values.iter().map(|value| identity(value)).collect::<HashSet<_>>().len())
            }
            AggregateFunction::Sum => sum(&values, field)?,
            AggregateFunction::Mean => mean(&values, field)?,
            AggregateFunction::Min => one(values.iter().min_by(|left, right| compare(left, right))),
            AggregateFunction::Max => one(values.iter().max_by(|left, right| compare(left, right))),
            AggregateFunction::First => one(values.first()),
            AggregateFunction::Last => one(values.last()),
            AggregateFunction::Collect => values.into_iter().cloned().collect(),
        })
    }
}

/// Returns the sum; the sum of integers is an integer unless it is out of range.
fn sum(values: &[&Value], field: &FieldPath) -> Result<Value, ToolError> {
    let whole = values.iter().try_fold(0_i128, |sum, value| sum.checked_add(integers::of(value)?));
    match whole.and_then(integers::to_value) {
        Some(sum) => Ok(sum),
        None => to_value(numbers(values, field)?.iter().sum(), field),
    }
}

fn mean(values: &[&Value], field: &FieldPath) -> Result<Value, ToolError> {
    let numbers = numbers(values, field)?;
    if numbers.is_empty() {
        return Ok(Value::Null);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of items in memory is far below 2^52")]
    let count = numbers.len() as f64;
    // The sum of finite numbers may overflow, but their mean never does.
    let sum: f64 = numbers.iter().sum();
    let mean = if sum.is_finite() { sum / count } else { numbers.iter().map(|number| number / count).sum() };
    to_value(mean, field)
}

fn numbers(values: &[&Value], field: &FieldPath) -> Result<Vec<f64>, ToolError> {
    let number = |value: &&Value| {
        value.as_f64().ok_or_else(|| {
            let message = format!("cannot aggregate `{field}`: expected numbers, got {}", kind_of(value));
            invalid("not_a_number", message)
        })
    };
    values.iter().map(number).collect()
}

/// Converts a float to JSON; fails if the float is not finite.
fn to_value(float: f64, field: &FieldPath) -> Result<Value, ToolError> {
    let number = Number::from_f64(float);
    let too_large = || invalid("not_a_number", format!("the sum of `{field}` is too large to represent"));
    number.map(Value::Number).ok_or_else(too_large)
}
