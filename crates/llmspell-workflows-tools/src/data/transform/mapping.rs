use llmspell_workflows_basic::is_exact;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::data::path::FieldPath;
use crate::data::support::{invalid, kind_of, some_value};
use crate::{ToolError, integers};

/// The target of a source's value, as given in the parameters.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TargetParameter {
    /// The path of a field.
    Path(String),
    /// A path with settings.
    Object(TargetObject),
    /// Several targets.
    List(Vec<TargetParameter>),
}

/// A target given as an object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetObject {
    /// The path of the field; by default, the path of the source.
    to: Option<String>,
    #[serde(default, deserialize_with = "some_value")]
    default: Option<Value>,
    r#type: Option<Type>,
}

/// The target type of a conversion.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
}

/// A mapping that can be applied to many items.
pub(super) struct Mapping {
    fields: Vec<Field>,
    constants: Vec<(FieldPath, Value)>,
}

struct Field {
    source: FieldPath,
    target: FieldPath,
    default: Option<Value>,
    r#type: Option<Type>,
}

/// Returns the schema of a mapping.
pub(super) fn mapping_schema() -> Value {
    let target = json!({ "type": "string", "minLength": 1, "description": "The path of the new field, such as `a.b`" });
    let object = json!({
        "type": "object",
        "properties": {
            "to": { "type": "string", "minLength": 1, "description": "The path of the new field; by default the source" },
            "default": { "description": "The value to use if the source is missing or null" },
            "type": { "enum": ["string", "integer", "number", "boolean"] },
        },
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "description": "For `map`: {source: target}, where a source is a path such as `a.b[0]`. For `rename`: {old name: new name}",
        "additionalProperties": {
            "oneOf": [
                target,
                object,
                { "type": "array", "minItems": 1, "items": { "oneOf": [target, object] }, "description": "Several targets" },
            ],
        },
    })
}

impl Mapping {
    /// Parses all paths; the error names the invalid source.
    pub(super) fn new(mapping: Map<String, Value>, constants: Map<String, Value>) -> Result<Self, ToolError> {
        let mut fields = Vec::new();
        for (source, target) in mapping {
            let wrong = |why: String| invalid("invalid_mapping", format!("invalid mapping of `{source}`: {why}"));
            let target = serde_json::from_value(target).map_err(|_| {
                wrong(
                    "expected the path of a target, an object with `to`, `default` or `type`, or a list of them".into(),
                )
            })?;
            Field::add(&source, target, &mut fields).map_err(wrong)?;
        }
        let constant = |(target, value): (String, Value)| Ok((FieldPath::parse(&target)?, value));
        let constants = constants.into_iter().map(constant).collect::<Result<Vec<_>, String>>();
        let constants = constants.map_err(|why| invalid("invalid_mapping", format!("invalid constant: {why}")))?;
        if fields.is_empty() && constants.is_empty() {
            return Err(invalid("invalid_mapping", "the mapping must not be empty"));
        }
        Ok(Self { fields, constants })
    }

    /// Applies the mapping to `item`; errors name the item by its `index`.
    pub(super) fn apply(&self, item: &Map<String, Value>, index: usize) -> Result<Map<String, Value>, ToolError> {
        let mut mapped = Map::new();
        let values = self.fields.iter().map(|field| Ok((&field.target, field.value(item, index)?)));
        let constants = self.constants.iter().map(|(target, value)| Ok((target, value.clone())));
        for set in values.chain(constants) {
            let (target, value) = set?;
            target.set(&mut mapped, value).map_err(|why| invalid("invalid_mapping", why))?;
        }
        Ok(mapped)
    }
}

impl Field {
    /// Adds the target fields for the value at `source`.
    fn add(source: &str, target: TargetParameter, fields: &mut Vec<Self>) -> Result<(), String> {
        let object = match target {
            TargetParameter::List(targets) => {
                return targets.into_iter().try_for_each(|target| Self::add(source, target, fields));
            }
            TargetParameter::Path(to) => TargetObject { to: Some(to), default: None, r#type: None },
            TargetParameter::Object(object) => object,
        };
        let target = FieldPath::parse(object.to.as_deref().unwrap_or(source))?;
        fields.push(Self { source: FieldPath::parse(source)?, target, default: object.default, r#type: object.r#type });
        Ok(())
    }

    fn value(&self, item: &Map<String, Value>, index: usize) -> Result<Value, ToolError> {
        let value = match (self.source.get_in(item), &self.default) {
            (None | Some(Value::Null), Some(default)) => default.clone(),
            (Some(value), _) => value.clone(),
            (None, None) => return Err(missing(&self.source, item, index)),
        };
        match self.r#type {
            None => Ok(value),
            Some(r#type) => r#type.convert(value).map_err(|why| {
                let message = format!("cannot convert `{}` of item {index}: {why}", self.source);
                invalid("conversion_failed", message).with_details(json!({ "item": index }))
            }),
        }
    }
}

impl Type {
    /// Converts a value to this type; null stays null.
    fn convert(self, value: Value) -> Result<Value, String> {
        let converted = match (self, &value) {
            (_, Value::Null) => Some(Value::Null),
            (Self::String, Value::String(_)) | (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => {
                Some(value.clone())
            }
            (Self::String, Value::Number(_) | Value::Bool(_)) => Some(json!(value.to_string())),
            (Self::Integer, Value::Number(number)) => to_integer(number),
            (Self::Integer, Value::String(text)) => integers::parse(text.trim()),
            (Self::Number, Value::String(text)) => to_number(text.trim())?,
            (Self::Boolean, Value::String(text)) => match text.trim() {
                "true" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => None,
            },
            _ => None,
        };
        converted
            .ok_or_else(|| format!("{} {} is not a valid {}", kind_of(&value), shown(&value.to_string()), self.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// Parses a number exactly.
fn to_number(text: &str) -> Result<Option<Value>, String> {
    let is_integer = text.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && byte == b'-'));
    match integers::parse(text) {
        None if is_integer && text.len() > 1 => {
            Err(format!("`{}` is too large to be represented exactly", shown(text)))
        }
        None => {
            let Some(number) = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) else { return Ok(None) };
            match number.as_f64().is_some_and(|float| is_exact(text, float)) {
                true => Ok(Some(Value::Number(number))),
                false => Err(format!("`{}` has more digits than a 64-bit float keeps", shown(text))),
            }
        }
        integer => Ok(integer),
    }
}

/// Returns the beginning of a long text.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the number as an integer if it has no fraction.
fn to_integer(number: &serde_json::Number) -> Option<Value> {
    if !number.is_f64() {
        return Some(Value::Number(number.clone()));
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "the value is an integer below 2^53")]
    let integer = float as i64;
    Some(json!(integer))
}

fn missing(path: &FieldPath, item: &Map<String, Value>, index: usize) -> ToolError {
    let names: Vec<String> = item.keys().take(10).map(|name| format!("`{name}`")).collect();
    let existing = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    invalid("missing_value", format!("item {index} has no value at `{path}`; its fields: {existing}"))
        .with_help("a mapping is {source: target}; `{to: TARGET, default: VALUE}` is for a source that may be missing")
        .with_details(json!({ "item": index }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(mapping: Value, item: Value) -> Result<Value, String> {
        with_constants(mapping, json!({}), item)
    }

    fn with_constants(mapping: Value, constants: Value, item: Value) -> Result<Value, String> {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mapping = Mapping::new(object(mapping), object(constants)).map_err(|error| error.to_string())?;
        let mapped = mapping.apply(&object(item), 3).map_err(|error| error.to_string())?;
        Ok(Value::Object(mapped))
    }

    #[test]
    fn mapping_reads_converts_and_nests_fields() {
        let item = json!({"user": {"id": "7", "tags": ["a", "b"]}, "score": 2.0, "ok": "true", "none": null});
        let mapping = json!({
            "user.id": {"to": "id", "type": "integer"},
            "user.tags[0]": "first.tag",
            "score": [{"type": "integer"}, {"to": "text", "type": "string"}],
            "ok": {"type": "boolean"},
            "user.age": {"to": "missing", "default": null},
            "none": ["none", {"to": "filled", "default": 1}],
        });
        let constants = json!({"first.kind": "tag", "nothing": null});
        let expected = json!({
            "id": 7, "first": {"tag": "a", "kind": "tag"}, "nothing": null, "score": 2, "text": "2.0", "ok": true,
            "missing": null, "filled": 1, "none": null,
        });
        assert_eq!(with_constants(mapping, constants, item), Ok(expected));
    }

    #[test]
    fn integer_strings_become_exact_numbers_or_are_rejected() {
        let convert = |text: &str, to: &str| {
            map(json!({"x": {"to": "n", "type": to}}), json!({"x": text})).map(|mapped| mapped["n"].to_string())
        };
        for (text, expected) in [
            ("9007199254740993", Some("9007199254740993")),
            (" -9223372036854775808", Some("-9223372036854775808")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("18446744073709551616", None),
            ("-9223372036854775809", None),
        ] {
            for to in ["integer", "number"] {
                let converted = convert(text, to);
                assert_eq!(converted.as_deref().ok(), expected, "{text} {to}: {converted:?}");
            }
        }
        assert!(convert("18446744073709551616", "number").unwrap_err().contains("too large to be represented exactly"));
        assert_eq!((convert("1.5", "number"), convert("1e3", "number")), (Ok("1.5".into()), Ok("1000.0".into())));
        assert!(convert("-", "number").unwrap_err().contains("is not a valid number"));
    }

    #[test]
    fn errors_name_the_invalid_source_or_item() {
        let wrong = "expected the path of a target, an object with `to`, `default` or `type`, or a list of them";
        let table = [
            (json!({}), "the mapping must not be empty".to_owned()),
            (json!({"a": 1}), format!("invalid mapping of `a`: {wrong}")),
            (json!({"a": {"path": "b"}}), format!("invalid mapping of `a`: {wrong}")),
            (json!({"x": "a[0]"}), "cannot set `a[0]`: a target path must not contain an index".to_owned()),
            (json!({"x": ["a", "a.b"]}), "cannot set `a.b`: a parent of this path is not an object".to_owned()),
            (
                json!({"y.z": "a"}),
                "item 3 has no value at `y.z`; its fields: `x` (a mapping is {source: target}; `{to: TARGET, default: \
                 VALUE}` is for a source that may be missing)"
                    .to_owned(),
            ),
            (
                json!({"x": {"to": "a", "type": "integer"}}),
                "cannot convert `x` of item 3: a string \"one\" is not a valid integer".to_owned(),
            ),
        ];
        for (mapping, expected) in table {
            assert_eq!(map(mapping.clone(), json!({"x": "one"})), Err(expected), "{mapping}");
        }
    }
}
