use std::collections::{BTreeMap, HashSet};

use serde_json::{Number, Value, json};

use super::collection::{Collection, normal};
use super::report::Report;
use crate::data::order::compare;
use crate::data::path::FieldPath;
use crate::data::support::kind_of;

const RULE: &str = "value_ranges";

/// Fields whose names imply a range: the normalized name, the bounds, and whether a longer name that ends with this
/// word (`home_latitude`) matches too.
const KNOWN: [(&str, f64, f64, bool); 22] = [
    ("age", 0.0, 150.0, true),
    ("confidence", 0.0, 1.0, false),
    ("count", 0.0, f64::MAX, true),
    ("hour", 0.0, 24.0, false),
    ("lat", -90.0, 90.0, true),
    ("latitude", -90.0, 90.0, true),
    ("lng", -180.0, 180.0, true),
    ("lon", -180.0, 180.0, true),
    ("longitude", -180.0, 180.0, true),
    ("minute", 0.0, 60.0, false),
    ("month", 1.0, 12.0, false),
    ("pct", 0.0, 100.0, false),
    ("percent", 0.0, 100.0, false),
    ("percentage", 0.0, 100.0, false),
    ("ph", 0.0, 14.0, false),
    ("port", 0.0, 65_535.0, true),
    ("probability", 0.0, 1.0, true),
    ("qty", 0.0, f64::MAX, true),
    ("quantity", 0.0, f64::MAX, true),
    ("second", 0.0, 60.0, false),
    ("weekday", 0.0, 7.0, false),
    ("weight", 0.0, f64::MAX, false),
];

/// The bounds of a rule.
pub(super) struct Bounds {
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
}

/// Checks `field` in each collection that has the field, and in the input itself if the input is an object with the
/// field. Each value must be a number within the bounds; null and missing values are ignored.
pub(super) fn check_field(
    collections: &[&Collection<'_>],
    input: Option<&Value>,
    field: &FieldPath,
    bounds: &Bounds,
    report: &mut Report,
) {
    let mut checked = 0;
    let mut check_items = |title: String, items: Vec<(String, &Value)>| {
        checked += 1;
        let mut check = report.check(RULE, title);
        for (path, item) in items {
            let Some(value) = field.get(item).filter(|value| !value.is_null()) else {
                continue;
            };
            check.count_value();
            if let Err(message) = within(value, bounds) {
                let path = if path.is_empty() { field.to_string() } else { format!("{path}.{field}") };
                check.add_violation(&path, &message, Some(value));
            }
        }
        check.finish();
    };
    for collection in collections.iter().filter(|collection| collection.has(field)) {
        let items = collection.items.iter().enumerate().map(|(index, item)| (collection.item_path(index), item));
        check_items(format!("{}: {field}", collection.title()), items.collect());
    }
    if let Some(input) = input.filter(|input| input.is_object() && field.get(input).is_some()) {
        check_items(field.to_string(), vec![(String::new(), input)]);
    }
    if checked == 0 {
        report.not_checkable(RULE, field.to_string(), "neither the input nor a checked collection has this field");
    }
}

/// Checks all numbers: fields with a known range (see [`KNOWN`]) must be within that range, and
/// fields that have a known range or contain numbers elsewhere in the collection must not contain
/// text such as `NaN` or `Infinity`.
pub(super) fn check_known_fields(input: &Value, report: &mut Report) {
    let mut fields = BTreeMap::new();
    collect(input, String::new(), String::new(), None, &mut fields);
    let mut found = false;
    for (pattern, field) in fields {
        let has_numbers = field.values.iter().any(|(_, value)| value.is_number());
        if field.range.is_none() && !has_numbers {
            continue;
        }
        found = true;
        let mut check = report.check(RULE, pattern);
        for (path, value) in field.values {
            let Some(message) = problem(value, field.range) else {
                if value.is_number() {
                    check.count_value();
                }
                continue;
            };
            check.count_value();
            check.add_violation(&path, &message, Some(value));
        }
        check.finish();
    }
    if !found {
        report.not_checkable(RULE, "input", "the input contains no numbers and no fields with a known range");
    }
}

/// The values of a field across all items.
struct Field<'v> {
    range: Option<(f64, f64)>,
    values: Vec<(String, &'v Value)>,
}

/// Collects numbers and strings, grouped by their path without indices.
fn collect<'v>(
    value: &'v Value,
    path: String,
    pattern: String,
    name: Option<&str>,
    fields: &mut BTreeMap<String, Field<'v>>,
) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let below = |path: &str| {
                    if path.is_empty() { key.clone() } else { format!("{path}.{key}") }
                };
                collect(value, below(&path), below(&pattern), Some(key), fields);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{index}]"), format!("{pattern}[]"), name, fields);
            }
        }
        Value::Number(_) | Value::String(_) => {
            let field = || Field { range: name.and_then(known_range), values: Vec::new() };
            fields.entry(pattern).or_insert_with(field).values.push((path, value));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn known_range(name: &str) -> Option<(f64, f64)> {
    let whole = normal(name);
    let last = last_word(name);
    let known = KNOWN.iter().find(|(known, _, _, as_ending)| whole == *known || (*as_ending && last == *known))?;
    Some((known.1, known.2))
}

/// Returns the last word of `home_latitude` or `homeLatitude` in lower case.
fn last_word(name: &str) -> String {
    let start = name
        .char_indices()
        .rev()
        .find(|(_, char)| matches!(char, '_' | '-') || char.is_uppercase())
        .map_or(0, |(at, _)| at);
    normal(&name[start..])
}

fn problem(value: &Value, range: Option<(f64, f64)>) -> Option<String> {
    match (value, range) {
        (Value::String(text), _) => is_not_finite(text).then(|| "not a finite number".to_owned()),
        (Value::Number(number), Some((min, max))) => {
            let float = number.as_f64().filter(|float| (min..=max).contains(float));
            match float {
                Some(_) => None,
                None if max == f64::MAX => Some(format!("must be at least {min}")),
                None => Some(format!("must be between {min} and {max}")),
            }
        }
        _ => None,
    }
}

fn is_not_finite(text: &str) -> bool {
    let words: HashSet<&str> = HashSet::from(["nan", "inf", "infinity"]);
    words.contains(text.trim().trim_start_matches(['+', '-']).to_ascii_lowercase().as_str())
}

fn within(value: &Value, bounds: &Bounds) -> Result<(), String> {
    if !value.is_number() {
        return Err(format!("expected a number, got {}", kind_of(value)));
    }
    let above = |min: &Number| compare(value, &json!(min)).is_ge();
    let below = |max: &Number| compare(value, &json!(max)).is_le();
    if bounds.min.as_ref().is_none_or(above) && bounds.max.as_ref().is_none_or(below) {
        return Ok(());
    }
    Err(match (&bounds.min, &bounds.max) {
        (Some(min), Some(max)) => format!("must be between {min} and {max}"),
        (Some(min), None) => format!("must be at least {min}"),
        (None, Some(max)) => format!("must be at most {max}"),
        (None, None) => unreachable!("without bounds, no value is out of range"),
    })
}
