use serde_json::{Value, json};

use super::closed;
use crate::dialect::{
    CASE, COUNT_MAX, CUSTOM_NAME, INPUT, MIGRATION, RANGE, RETRY, STEPS, Shape, TIMEOUTS, TRANSITION, TRIGGER,
    VALIDATOR,
};

/// Returns the schema of a shape, for a field written as `name`.
pub(super) fn shape(shape: Shape, name: &str) -> Value {
    match shape {
        Shape::Missing => json!(false),
        Shape::Text => text(),
        Shape::Version => json!({ "anyOf": [text(), { "type": "number" }] }),
        Shape::Texts => one_or_more(&text()),
        Shape::Expression => reference("expression"),
        Shape::Expressions => one_or_more(&expression()),
        Shape::Delay if name.ends_with("_ms") => reference("delay_ms"),
        Shape::Delay => reference("delay"),
        Shape::Duration => time(!name.ends_with("_ms"), false),
        Shape::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number => json!({ "type": "number", "minimum": 0 }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Any => json!({}),
        Shape::NonNull => json!({ "not": { "type": "null" } }),
        Shape::Object => json!({ "type": "object" }),
        Shape::Items => json!({ "type": ["array", "string"] }),
        Shape::NumberOrText => json!({ "type": ["number", "string"] }),
        Shape::Target => json!({ "type": ["string", "null"] }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Jitter => json!({ "anyOf": [{ "type": "boolean" }, { "type": "number", "minimum": 0, "maximum": 1 }] }),
        Shape::StatusCodes => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": 100, "maximum": 65535 } })
        }
        Shape::ExitCodes => json!({ "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 255 } }),
        Shape::Retry => reference("retry"),
        Shape::Range => closed(&[RANGE]),
        Shape::Trigger => json!({ "anyOf": [expression(), closed(&[TRIGGER])] }),
        Shape::Timeouts => closed(&[TIMEOUTS]),
        Shape::Inputs => {
            let words = INPUT.iter().find_map(|field| match field.shape {
                Shape::Word(words) => Some(words),
                _ => None,
            });
            mapping(&json!({ "anyOf": [{ "type": "null" }, { "enum": words }, closed(&[INPUT])] }))
        }
        Shape::Environments => mapping(&json!({ "type": "object" })),
        Shape::Conditions => mapping(&expression()),
        Shape::Names => mapping(&text()),
        Shape::Migrations => mapping(&closed(&[MIGRATION])),
        Shape::Counts => mapping(&json!({ "type": "integer", "minimum": 1, "maximum": COUNT_MAX })),
        Shape::Personas => {
            json!({ "anyOf": [one_or_more(&text()), mapping(&json!({ "type": ["null", "string"] }))] })
        }
        Shape::Env => mapping(&scalar()),
        Shape::RootEnv => json!({ "anyOf": [one_or_more(&text()), mapping(&scalar())] }),
        Shape::Validator => json!({ "anyOf": [text(), closed(&[VALIDATOR])] }),
        Shape::Aggregation => {
            let names = json!({ "allOf": [text(), { "not": { "enum": ["weighted", "partial"] } }, partial()] });
            json!({ "anyOf": [names, closed(&[CUSTOM_NAME])] })
        }
        Shape::OnConflict => json!({ "anyOf": [text(), closed(&[CUSTOM_NAME])] }),
        _ => steps(shape),
    }
}

/// Returns the schema of a shape that contains steps.
fn steps(shape: Shape) -> Value {
    let list = reference("list");
    match shape {
        Shape::Block => {
            let item = json!({ "anyOf": [text(), reference("listed")] });
            json!({ "anyOf": [text(), { "type": "array", "items": item }] })
        }
        Shape::Members => {
            let member = json!({ "allOf": [reference("member"), reference("identified")] });
            json!({ "anyOf": [{ "type": "array", "items": member }, reference("branches")] })
        }
        Shape::Branches => reference("branches"),
        Shape::Cases => json!({ "type": "array", "items": closed(&[CASE]) }),
        Shape::Next => {
            json!({ "anyOf": [{ "type": ["string", "null"] }, { "type": "array", "items": closed(&[TRANSITION]) }] })
        }
        Shape::OnError => json!({ "anyOf": [{ "enum": ["fail", "continue"] }, list, closed(&[STEPS])] }),
        Shape::LoopOnError => {
            json!({ "anyOf": [{ "enum": ["stop", "continue", "collect", "fail"] }, list, closed(&[STEPS])] })
        }
        Shape::RootOnError => json!({ "anyOf": [list, closed(&[STEPS])] }),
        Shape::Body => reference("body"),
        Shape::Undo => reference("step"),
        Shape::Workflows => mapping(&json!({ "$ref": "#" })),
        Shape::Defaults => reference("defaults"),
        _ => reference("steps"),
    }
}

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn text() -> Value {
    json!({ "type": "string", "pattern": "\\S" })
}

fn expression() -> Value {
    json!({ "anyOf": [text(), { "type": "boolean" }] })
}

fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn one_or_more(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item }] })
}

fn mapping(value: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": value })
}

/// Requires a number after `partial:`.
fn partial() -> Value {
    json!({ "anyOf": [{ "not": { "pattern": "^partial:" } }, { "pattern": "^partial: *0*[1-9][0-9]* *$" }] })
}

/// Returns the schema of a duration: a number, or a string in an allowed format.
fn time(has_units: bool, may_be_expression: bool) -> Value {
    let mut forms = vec![json!({ "type": "number", "minimum": 0 })];
    if may_be_expression {
        forms.push(json!({ "type": "string", "pattern": "^\\s*(\\{\\{.*\\}\\}|\\$\\{.*\\})\\s*$" }));
    }
    if has_units {
        let units = "^\\s*([0-9.]+(e[0-9]+)?|([Pp][Tt])?([0-9.]+([Mm][Ss]|[DdHhMmSs]))+)\\s*$";
        forms.push(json!({ "type": "string", "pattern": units }));
    }
    json!({ "anyOf": forms })
}

/// Returns the named shapes, to which other shapes refer.
pub(super) fn shared() -> [(&'static str, Value); 4] {
    let retry = json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": COUNT_MAX }, closed(&[RETRY])] });
    [("retry", retry), ("expression", expression()), ("delay", time(true, true)), ("delay_ms", time(false, true))]
}
