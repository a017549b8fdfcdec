use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::accumulator::Accumulator;
use crate::ToolError;
use crate::data::order::identity;
use crate::data::path::FieldPath;
use crate::data::row_files::Held;
use crate::data::support::{invalid, kind_of};

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

/// Groups items, and returns an object for each group in order of first appearance: the grouping
/// fields, then the aggregates.
///
/// If an item lacks a grouping field, the field becomes null. Only the aggregates are held in memory, not the items.
pub(super) struct Grouping {
    fields: Vec<FieldPath>,
    aggregates: Vec<Aggregate>,
    groups: Vec<(Vec<Value>, Vec<Accumulator>)>,
    indices: HashMap<String, usize>,
    held: Held,
}

impl Grouping {
    pub(super) fn new(fields: Vec<FieldPath>, aggregates: Map<String, Value>, held: Held) -> Result<Self, ToolError> {
        let aggregates = aggregates.into_iter().map(|(target, parameters)| Aggregate::new(target, parameters));
        let aggregates = aggregates.collect::<Result<_, _>>()?;
        Ok(Self { fields, aggregates, groups: Vec::new(), indices: HashMap::new(), held })
    }

    /// Adds an item to its group.
    pub(super) fn add(&mut self, item: &Item) -> Result<(), ToolError> {
        let key: Vec<Value> =
            self.fields.iter().map(|field| field.get_in(item).cloned().unwrap_or(Value::Null)).collect();
        let key = Value::Array(key);
        let identity = identity(&key);
        let index = match self.indices.get(&identity) {
            Some(index) => *index,
            None => {
                let Value::Array(key) = key else { unreachable!("the value above is an array") };
                self.held.add(2 * identity.len())?;
                self.indices.insert(identity, self.groups.len());
                let accumulators = self.aggregates.iter().map(|aggregate| Accumulator::new(aggregate.function));
                self.groups.push((key, accumulators.collect()));
                self.groups.len() - 1
            }
        };
        for (aggregate, accumulator) in self.aggregates.iter().zip(&mut self.groups[index].1) {
            aggregate.add(item, accumulator, &mut self.held)?;
        }
        Ok(())
    }

    /// Passes the object of each group to `emit`.
    pub(super) fn finish(self, mut emit: impl FnMut(Item) -> Result<(), ToolError>) -> Result<(), ToolError> {
        for (key, accumulators) in self.groups {
            let mut group = Map::new();
            let values = self.aggregates.iter().zip(accumulators);
            let values = values.map(|(aggregate, values)| Ok((&aggregate.target, aggregate.result(values)?)));
            let values = values.collect::<Result<Vec<_>, ToolError>>()?;
            for (path, value) in self.fields.iter().zip(key).chain(values) {
                path.set(&mut group, value).map_err(|why| invalid("invalid_fields", why))?;
            }
            emit(group)?;
        }
        Ok(())
    }
}

struct Aggregate {
    target: FieldPath,
    function: AggregateFunction,
    /// Only `count` may omit the field.
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

    fn add(&self, item: &Item, accumulator: &mut Accumulator, held: &mut Held) -> Result<(), ToolError> {
        match &self.field {
            None => accumulator.add(&Value::Null, held).map(|_| ()),
            Some(field) => match field.get_in(item).filter(|value| !value.is_null()) {
                None => Ok(()),
                Some(value) => accumulator.add(value, held)?.then_some(()).ok_or_else(|| self.not_a_number(value)),
            },
        }
    }

    fn result(&self, accumulator: Accumulator) -> Result<Value, ToolError> {
        accumulator
            .result()
            .ok_or_else(|| invalid("not_a_number", format!("the sum of `{}` is too large to represent", self.name())))
    }

    fn not_a_number(&self, value: &Value) -> ToolError {
        let message = format!("cannot aggregate `{}`: expected numbers, got {}", self.name(), kind_of(value));
        invalid("not_a_number", message)
    }

    fn name(&self) -> String {
        self.field.as_ref().map_or_else(String::new, ToString::to_string)
    }
}
