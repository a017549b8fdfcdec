use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use crate::ToolError;
use crate::data::order::{compare, identity};
use crate::data::path::FieldPath;
use crate::data::support::{invalid, kind_of};

type Item = Map<String, Value>;

/// What is computed over the items of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Op {
    /// How many items; with a field, how many that have it.
    Count,
    /// How many different values.
    CountDistinct,
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// All values.
    Collect,
}

/// One aggregate as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    op: Op,
    field: Option<String>,
}

/// The schema of `aggregates`.
pub(super) fn aggregates_schema() -> Value {
    json!({
        "type": "object",
        "description": "For `group_by`: {target: {op, field}}; values that are missing or null are left out",
        "additionalProperties": {
            "type": "object",
            "required": ["op"],
            "properties": {
                "op": { "enum": [
                    "count", "count_distinct", "sum", "mean", "min", "max", "first", "last", "collect",
                ] },
                "field": { "type": "string", "minLength": 1, "description": "A path; only `count` can do without" },
            },
            "additionalProperties": false,
        },
    })
}

/// One object a group, in the order in which groups first appear: the fields it is grouped by, then its aggregates.
///
/// A group whose items lack a field has null there.
pub(super) fn group_by(
    items: &[Item],
    fields: &[FieldPath],
    aggregates: Map<String, Value>,
) -> Result<Vec<Item>, ToolError> {
    let aggregates = aggregates
        .into_iter()
        .map(|(target, written)| Aggregate::new(target, written))
        .collect::<Result<Vec<_>, _>>()?;
    let mut groups: Vec<(Vec<Value>, Vec<&Item>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in items {
        let key: Vec<Value> = fields.iter().map(|field| field.get_in(item).cloned().unwrap_or(Value::Null)).collect();
        let place = *places.entry(identity(&json!(key))).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(item);
    }
    groups.into_iter().map(|(key, items)| one_group(fields, key, &aggregates, &items)).collect()
}

fn one_group(
    fields: &[FieldPath],
    key: Vec<Value>,
    aggregates: &[Aggregate],
    items: &[&Item],
) -> Result<Item, ToolError> {
    let mut group = Map::new();
    let values = aggregates.iter().map(|aggregate| Ok((&aggregate.target, aggregate.over(items)?)));
    let values = values.collect::<Result<Vec<_>, ToolError>>()?;
    for (path, value) in fields.iter().zip(key).chain(values) {
        path.set(&mut group, value).map_err(|why| invalid("invalid_fields", why))?;
    }
    Ok(group)
}

struct Aggregate {
    target: FieldPath,
    op: Op,
    field: Option<FieldPath>,
}

impl Aggregate {
    fn new(target: String, written: Value) -> Result<Self, ToolError> {
        let refuse =
            |why: String| invalid("invalid_aggregate", format!("the aggregate `{target}` cannot be used: {why}"));
        let written: Written = serde_json::from_value(written).map_err(|error| refuse(error.to_string()))?;
        let field = written.field.as_deref().map(FieldPath::parse).transpose().map_err(refuse)?;
        if field.is_none() && written.op != Op::Count {
            return Err(refuse("it needs a `field`".to_owned()));
        }
        let target = FieldPath::parse(&target).map_err(refuse)?;
        Ok(Self { target, op: written.op, field })
    }

    fn over(&self, items: &[&Item]) -> Result<Value, ToolError> {
        let Some(field) = &self.field else {
            return Ok(json!(items.len()));
        };
        let values: Vec<&Value> =
            items.iter().filter_map(|item| field.get_in(item)).filter(|value| !value.is_null()).collect();
        let one = |value: Option<&&Value>| value.map_or(Value::Null, |value| (*value).clone());
        Ok(match self.op {
            Op::Count => json!(values.len()),
            Op::CountDistinct => json!(values.iter().map(|value| identity(value)).collect::<HashSet<_>>().len()),
            Op::Sum => sum(&values, field)?,
            Op::Mean => mean(&values, field)?,
            Op::Min => one(values.iter().min_by(|left, right| compare(left, right))),
            Op::Max => one(values.iter().max_by(|left, right| compare(left, right))),
            Op::First => one(values.first()),
            Op::Last => one(values.last()),
            Op::Collect => values.into_iter().cloned().collect(),
        })
    }
}

/// The sum; of integers an integer as long as it fits into 64 bits.
fn sum(values: &[&Value], field: &FieldPath) -> Result<Value, ToolError> {
    let integers = values.iter().map(|value| value.as_i64());
    let whole = integers.into_iter().try_fold(0_i64, |sum, value| sum.checked_add(value?));
    match whole {
        Some(sum) => Ok(json!(sum)),
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
    // The sum of numbers may be beyond their range, their mean never is.
    let sum: f64 = numbers.iter().sum();
    let mean = if sum.is_finite() { sum / count } else { numbers.iter().map(|number| number / count).sum() };
    to_value(mean, field)
}

fn numbers(values: &[&Value], field: &FieldPath) -> Result<Vec<f64>, ToolError> {
    let number = |value: &&Value| {
        value.as_f64().ok_or_else(|| {
            let message = format!("`{field}` cannot be summed up, since it is {} in an item", kind_of(value));
            invalid("not_a_number", message)
        })
    };
    values.iter().map(number).collect()
}

/// A float as JSON; one that is beyond the range of numbers is refused.
fn to_value(float: f64, field: &FieldPath) -> Result<Value, ToolError> {
    let number = Number::from_f64(float);
    let too_large = || invalid("not_a_number", format!("the sum of `{field}` is too large for a number"));
    number.map(Value::Number).ok_or_else(too_large)
}
