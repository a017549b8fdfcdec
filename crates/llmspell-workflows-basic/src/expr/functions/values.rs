//! Functions on any value.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::write::{Form, json};
use super::{Arguments, Function, FunctionKind};
use crate::expr::error::Fault;
use crate::expr::limits::Budget;
use crate::expr::value::{ExprValue, is_true, kind};
use crate::json::{JsonError, parse_json as parse_json_text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["default", "coalesce"],
        parameters: &["value", "other", "others..."],
        returns: "the first value that is not null, like `??`; all references but the last may be missing",
        example: ("null | default('none')", r#""none""#),
        kind: FunctionKind::Coalesce,
    },
    Function {
        names: &["get"],
        parameters: &["value", "key", "default?"],
        returns: "the value at the key, like `value[key]`, or the default if it is null",
        example: ("{a: 1}.get('b', 0)", "0"),
        kind: FunctionKind::Get,
    },
    Function {
        names: &["has"],
        parameters: &["value", "key"],
        returns: "whether the key exists, even if its value is null",
        example: ("{a: null}.has('a')", "true"),
        kind: FunctionKind::Has,
    },
    Function {
        names: &["len", "length"],
        parameters: &["value"],
        returns: "the number of characters, elements or fields",
        example: ("len('abc')", "3"),
        kind: FunctionKind::Call(len),
    },
    Function {
        names: &["keys"],
        parameters: &["object"],
        returns: "the names of the fields",
        example: ("{a: 1, b: 2} | keys", r#"["a","b"]"#),
        kind: FunctionKind::Call(keys),
    },
    Function {
        names: &["values"],
        parameters: &["object"],
        returns: "the values of the fields",
        example: ("{a: 1, b: 2}.values()", "[1,2]"),
        kind: FunctionKind::Call(values),
    },
    Function {
        names: &["json"],
        parameters: &["value"],
        returns: "the JSON text of the value",
        example: ("{a: [1, null]} | json", r#""{\"a\":[1,null]}""#),
        kind: FunctionKind::Call(to_json),
    },
    Function {
        names: &["parse_json"],
        parameters: &["text"],
        returns: "the value of a JSON text",
        example: (r#"parse_json('{"a": 1}').a"#, "1"),
        kind: FunctionKind::Call(parse_json),
    },
    Function {
        names: &["string", "toString"],
        parameters: &["value"],
        returns: "a string as it is, anything else as JSON text",
        example: ("string(1.5)", r#""1.5""#),
        kind: FunctionKind::Call(string),
    },
    Function {
        names: &["bool"],
        parameters: &["value"],
        returns: "true for the strings true, yes, on and 1, false for their opposites; for other values, their truthiness",
        example: ("bool('false')", "false"),
        kind: FunctionKind::Call(bool),
    },
    Function {
        names: &["type"],
        parameters: &["value"],
        returns: "`null`, `boolean`, `number`, `string`, `array` or `object`",
        example: ("type([1])", r#""array""#),
        kind: FunctionKind::Call(type_of),
    },
    Function {
        names: &["hash"],
        parameters: &["value", "values..."],
        returns: "the SHA-256 hash, in hex, of the values' canonical JSON, one per line; equal values have equal hashes",
        example: ("hash({b: 1, a: 2.0})", r#""d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772""#),
        kind: FunctionKind::Call(hash),
    },
];

fn len<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let length = match a.value(0) {
        Value::String(text) => {
            budget.text(text.len())?;
            text.chars().count()
        }
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => return Err(a.wrong(0, "a string, a list or an object")),
    };
    Ok(length.into())
}

fn keys<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let fields = a.object(0)?;
    budget.produce_items(fields.len())?;
    let mut names = Vec::with_capacity(fields.len());
    for name in fields.keys() {
        budget.produce(name.len())?;
        names.push(Value::from(name.as_str()));
    }
    Ok(Value::Array(names).into())
}

fn values<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let fields = a.object(0)?;
    budget.produce_items(fields.len())?;
    fields.values().try_for_each(|field| budget.copy(field))?;
    Ok(Value::Array(fields.values().cloned().collect()).into())
}

fn to_json<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    json(a.value(0), Form::Plain, budget).map(ExprValue::from)
}

fn parse_json<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let text = a.text(0)?;
    let is_separator = |byte: &u8| matches!(byte, b',' | b':' | b'[' | b'{');
    budget.produce_items(text.bytes().filter(|byte| is_separator(byte)).count())?;
    budget.produce(text.len())?;
    parse_json_text(text).map(ExprValue::Owned).map_err(|error| match error {
        JsonError::Syntax(error) => Fault::Type(format!("`parse_json` cannot parse the string: {error}")),
        error => Fault::Type(format!("`parse_json` cannot parse the string: {error}")),
    })
}

fn string<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    match a.value(0) {
        Value::String(_) => Ok(a.take(0)),
        value => json(value, Form::Plain, budget).map(ExprValue::from),
    }
}

fn bool<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let Value::String(text) = a.value(0) else {
        return Ok(is_true(a.value(0)).into());
    };
    budget.text(text.len())?;
    let text = text.trim();
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "yes", "on", "1"]) {
        return Ok(true.into());
    }
    if is(&["false", "no", "off", "0", ""]) {
        return Ok(false.into());
    }
    Err(Fault::Type("`bool` accepts only true, yes, on, 1, false, no, off and 0".to_owned()))
}

fn type_of<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    Ok(kind(a.value(0)).into())
}

fn hash<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let mut hasher = Sha256::new();
    for (at, value) in a.iter().enumerate() {
        if at > 0 {
            hasher.update(b"\n");
        }
        hasher.update(json(value, Form::Canonical, budget)?.as_bytes());
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text.into())
}
