use jaq_json::{Map, Num, Val};
use llmspell_workflows_basic::is_exact;
use serde_json::{Number, Value, json};

use super::meter::Meter;
use crate::ToolError;
use crate::data::support::invalid;

/// The maximum nesting depth of an output: the depth that `serde_json` can read back.
pub(super) const DEPTH_MAX: usize = 126;

/// Converts a JSON value to a value of the interpreter.
pub(super) fn from_json(value: Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(bool) => Val::Bool(bool),
        Value::Number(number) => Val::Num(from_number(&number)),
        Value::String(text) => Val::utf8_str(text),
        Value::Array(items) => items.into_iter().map(from_json).collect(),
        Value::Object(object) => {
            let entries = object.into_iter().map(|(key, item)| (Val::utf8_str(key), from_json(item)));
            Val::obj(entries.collect::<Map>())
        }
    }
}

/// Converts an output to JSON, and counts its parts with the meter.
pub(super) fn to_json(value: &Val, meter: &Meter<'_>) -> Result<Value, ToolError> {
    convert(value, meter, 0)
}

fn convert(value: &Val, meter: &Meter<'_>, depth: usize) -> Result<Value, ToolError> {
    meter.output_part(0, depth);
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(bool) => json!(bool),
        Val::Num(number) => to_number(number)?,
        Val::TStr(_) | Val::BStr(_) => Value::String(to_text(value, meter, depth)?),
        Val::Arr(items) => items.iter().map(|item| convert(item, meter, depth + 1)).collect::<Result<_, _>>()?,
        Val::Obj(object) => {
            let mut entries = serde_json::Map::new();
            for (key, item) in object.iter() {
                entries.insert(to_text(key, meter, depth)?, convert(item, meter, depth + 1)?);
            }
            Value::Object(entries)
        }
    })
}

fn to_text(value: &Val, meter: &Meter<'_>, depth: usize) -> Result<String, ToolError> {
    match value {
        Val::TStr(bytes) | Val::BStr(bytes) => {
            meter.output_part(bytes.len(), depth);
            String::from_utf8(bytes.to_vec())
                .map_err(|_| unrepresentable("it contains a string that is not valid UTF-8"))
        }
        _ => Err(unrepresentable("it contains an object with a key that is not a string")),
    }
}

fn from_number(number: &Number) -> Num {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(integer), _, _) => Num::from_integral(integer),
        (_, Some(integer), _) => Num::from_integral(integer),
        (_, _, float) => Num::Float(float.unwrap_or(f64::NAN)),
    }
}

fn to_number(number: &Num) -> Result<Value, ToolError> {
    let text = number.to_string();
    let float = match number {
        Num::Int(integer) => return Ok(json!(integer)),
        Num::BigInt(_) => match text.parse::<u64>() {
            Ok(integer) => return Ok(json!(integer)),
            Err(_) => return Err(unrepresentable("it contains an integer of more than 64 bits")),
        },
        Num::Float(float) => *float,
        Num::Dec(_) => match text.parse() {
            Ok(float) if is_exact(&text, float) => float,
            _ => return Err(unrepresentable(&format!("`{text}` has more digits than a 64-bit float keeps"))),
        },
    };
    Number::from_f64(float)
        .map(Value::Number)
        .ok_or_else(|| unrepresentable("it contains a number that is infinite or not a number"))
}

fn unrepresentable(why: &str) -> ToolError {
    invalid("query_output", format!("the query's output cannot be represented as JSON: {why}"))
}
