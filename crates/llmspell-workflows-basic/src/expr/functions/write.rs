//! Converts values to text.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::expr::error::Fault;
use crate::expr::limits::{Budget, VALUE_DEPTH_MAX, descend};
use crate::expr::number::Num;

/// How JSON is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Fields and numbers are written as they appear in the value.
    Plain,
    /// Equal values have equal text: fields are sorted by their bytes, and `1.0` is written as `1`.
    Canonical,
}

/// Converts a value to text: a string is unchanged, null becomes the empty string, and anything
/// else becomes JSON.
pub(in crate::expr) fn plain_text<'v>(value: &'v Value, budget: &mut Budget) -> Result<Cow<'v, str>, Fault> {
    match value {
        Value::Null => Ok(Cow::Borrowed("")),
        Value::String(text) => Ok(Cow::Borrowed(text)),
        value => json(value, Form::Plain, budget).map(Cow::Owned),
    }
}

/// Writes a value as JSON, without whitespace.
pub(super) fn json(value: &Value, form: Form, budget: &mut Budget) -> Result<String, Fault> {
    let mut out = String::new();
    write(&mut out, value, form, budget, VALUE_DEPTH_MAX)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value, form: Form, budget: &mut Budget, depth_left: usize) -> Result<(), Fault> {
    match value {
        Value::Null => push(out, "null", budget),
        Value::Bool(true) => push(out, "true", budget),
        Value::Bool(false) => push(out, "false", budget),
        Value::Number(number) => match (form, Num::from(number).as_integer()) {
            (Form::Canonical, Some(whole)) => push(out, &whole.to_string(), budget),
            _ => push(out, &number.to_string(), budget),
        },
        Value::String(text) => write_text(out, text, budget),
        Value::Array(items) => {
            let depth_left = descend(depth_left)?;
            budget.items(items.len())?;
            push(out, "[", budget)?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    push(out, ",", budget)?;
                }
                write(out, item, form, budget, depth_left)?;
            }
            push(out, "]", budget)
        }
        Value::Object(fields) => write_fields(out, fields, form, budget, descend(depth_left)?),
    }
}

fn write_fields(
    out: &mut String,
    fields: &Map<String, Value>,
    form: Form,
    budget: &mut Budget,
    depth_left: usize,
) -> Result<(), Fault> {
    budget.items(fields.len())?;
    let mut fields: Vec<_> = fields.iter().collect();
    if form == Form::Canonical {
        fields.sort_unstable_by_key(|(name, _)| *name);
    }
    push(out, "{", budget)?;
    for (at, (name, field)) in fields.into_iter().enumerate() {
        if at > 0 {
            push(out, ",", budget)?;
        }
        write_text(out, name, budget)?;
        push(out, ":", budget)?;
        write(out, field, form, budget, depth_left)?;
    }
    push(out, "}", budget)
}

fn write_text(out: &mut String, text: &str, budget: &mut Budget) -> Result<(), Fault> {
    // The budget is charged before the escaped copy is created.
    budget.produce(text.len())?;
    let quoted = serde_json::to_string(text).expect("a string always serializes");
    push(out, &quoted, budget)
}

fn push(out: &mut String, text: &str, budget: &mut Budget) -> Result<(), Fault> {
    budget.produce(text.len())?;
    out.push_str(text);
    Ok(())
}
