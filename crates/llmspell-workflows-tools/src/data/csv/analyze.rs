use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::cell;
use super::source::Rows;
use crate::ToolError;
use crate::data::order::compare;

/// The maximum number of distinct values counted, across all columns.
const DISTINCT_MAX: usize = 1_000_000;

/// The maximum number of values kept for medians, across all columns.
const NUMBERS_MAX: usize = 4_000_000;

/// Computes statistics of each column in one pass over the rows.
///
/// A column's type is the narrowest type that matches all of its cells: `integer, number, boolean, date, string`, or
/// `empty`. `min, max, mean, median` and `stddev` (of a sample, with n − 1) are computed for numeric columns. Memory is
/// bounded: after a million distinct values, `distinct` is a lower bound and `distinct_is_minimum` is true; after four
/// million numbers, the median is omitted.
pub(super) fn analyze(rows: &mut Rows<'_>, top: usize) -> Result<Value, ToolError> {
    let mut columns: Vec<Column> = rows.columns().iter().map(|name| Column::new(name)).collect();
    let mut budget = MemoryBudget { distinct: DISTINCT_MAX, numbers: NUMBERS_MAX };
    while let Some(row) = rows.next()? {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.add(cell, &mut budget);
        }
    }
    let columns: Vec<Value> = columns.into_iter().map(|column| column.result(top)).collect();
    Ok(json!({ "rows": rows.count(), "columns": columns }))
}

/// Returns the schema of a column's statistics.
pub(super) fn column_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let number = json!({ "type": ["number", "null"] });
    json!({
        "type": "object",
        "required": ["name", "type", "count", "nulls", "distinct", "distinct_is_minimum", "top"],
        "properties": {
            "name": { "type": "string" },
            "type": { "enum": ["integer", "number", "boolean", "date", "string", "empty"] },
            "count": count,
            "nulls": count,
            "distinct": count,
            "distinct_is_minimum": { "type": "boolean" },
            "top": { "type": "array", "items": {
                "type": "object",
                "required": ["value", "count"],
                "properties": { "value": { "type": "string" }, "count": count },
                "additionalProperties": false,
            } },
            "min": number,
            "max": number,
            "mean": number,
            "median": number,
            "stddev": number,
        },
        "additionalProperties": false,
    })
}

/// The number of values that may still be kept.
struct MemoryBudget {
    distinct: usize,
    numbers: usize,
}

struct Column {
    name: String,
    count: usize,
    nulls: usize,
    integers: usize,
    booleans: usize,
    dates: usize,
    values: HashMap<String, usize>,
    values_omitted: bool,
    moments: Moments,
    numbers: Vec<f64>,
}

impl Column {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            count: 0,
            nulls: 0,
            integers: 0,
            booleans: 0,
            dates: 0,
            values: HashMap::new(),
            values_omitted: false,
            moments: Moments::default(),
            numbers: Vec::new(),
        }
    }

    fn add(&mut self, cell: &str, budget: &mut MemoryBudget) {
        if cell.trim().is_empty() {
            self.nulls += 1;
            return;
        }
        self.count += 1;
        self.integers += usize::from(cell::is_integer(cell));
        self.booleans += usize::from(cell::boolean(cell).is_some());
        self.dates += usize::from(cell::is_date(cell));
        // A single non-numeric cell makes the whole column non-numeric, so counting can stop there.
        if self.moments.count + 1 == self.count
            && let Some(number) = cell::number(cell)
        {
            self.moments.add(number, cell);
            if budget.numbers > 0 {
                budget.numbers -= 1;
                self.numbers.push(number);
            }
        }
        if let Some(count) = self.values.get_mut(cell) {
            *count += 1;
        } else if budget.distinct > 0 {
            budget.distinct -= 1;
            self.values.insert(cell.to_owned(), 1);
        } else {
            self.values_omitted = true;
        }
    }

    fn result(mut self, top: usize) -> Value {
        let distinct = self.values.len();
        let mut values: Vec<(String, usize)> = std::mem::take(&mut self.values).into_iter().collect();
        values.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        values.truncate(top);
        let top: Vec<Value> = values.iter().map(|(value, count)| json!({ "value": value, "count": count })).collect();
        let mut result = json!({
            "name": self.name, "type": self.kind(), "count": self.count, "nulls": self.nulls, "distinct": distinct,
            "distinct_is_minimum": self.values_omitted, "top": top,
        });
        if let (Some(result), true) = (result.as_object_mut(), self.is_numeric()) {
            self.moments.write(result);
            let all = self.numbers.len() == self.moments.count;
            result.insert("median".to_owned(), to_value(all.then(|| median(&mut self.numbers))));
        }
        result
    }

    fn is_numeric(&self) -> bool {
        self.count > 0 && self.moments.count == self.count
    }

    fn kind(&self) -> &'static str {
        let all = |count: usize| count == self.count;
        match () {
            () if self.count == 0 => "empty",
            () if all(self.integers) => "integer",
            () if self.is_numeric() => "number",
            () if all(self.booleans) => "boolean",
            () if all(self.dates) => "date",
            () => "string",
        }
    }
}

/// Computes mean and variance in one pass with Welford's method, which stays precise for large means.
#[derive(Default)]
struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
    min: Option<Value>,
    max: Option<Value>,
}

impl Moments {
    fn add(&mut self, number: f64, cell: &str) {
        self.count += 1;
        let delta = number - self.mean;
        self.mean += delta / as_float(self.count);
        self.squares += delta * (number - self.mean);
        // The smallest and the largest integer are exact, unlike computed statistics.
        let value = cell::numeric(cell);
        for (extreme, order) in [(&mut self.min, Ordering::Less), (&mut self.max, Ordering::Greater)] {
            if extreme
                .as_ref()
                .is_none_or(|extreme| value.as_ref().is_some_and(|value| compare(value, extreme) == order))
            {
                extreme.clone_from(&value);
            }
        }
    }

    fn write(&self, result: &mut Map<String, Value>) {
        let stddev = (self.count > 1).then(|| (self.squares / as_float(self.count - 1)).sqrt());
        for (name, value) in [("min", &self.min), ("max", &self.max)] {
            result.insert(name.to_owned(), value.clone().unwrap_or_default());
        }
        for (name, value) in [("mean", Some(self.mean)), ("stddev", stddev)] {
            result.insert(name.to_owned(), to_value(value));
        }
    }
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) { numbers[middle - 1].midpoint(numbers[middle]) } else { numbers[middle] }
}

fn to_value(number: Option<f64>) -> Value {
    number.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[expect(clippy::cast_precision_loss, reason = "a count of cells is far below 2^52")]
fn as_float(count: usize) -> f64 {
    count as f64
}
