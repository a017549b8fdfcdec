use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::data::path::FieldPath;
use crate::data::support::{invalid, kind_of};
use crate::{ToolError, integers};

/// The source of a target field, as given in the parameters.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SourceParameter {
    /// A path into the item.
    Path(String),
    /// A path with settings, or a constant.
    Object(SourceObject),
}

/// The object form of a source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceObject {
    path: Option<String>,
    #[serde(default, deserialize_with = "some_value")]
    default: Option<Value>,
    r#type: Option<Type>,
    #[serde(default, deserialize_with = "some_value")]
    constant: Option<Value>,
}

/// The type to which a value is converted.
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
}

struct Field {
    target: FieldPath,
    source: Source,
    r#type: Option<Type>,
}

enum Source {
    Path { path: FieldPath, default: Option<Value> },
    Constant(Value),
}

/// Reads an explicit null as a value so that it differs from a missing field.
fn some_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Returns the schema of a mapping.
pub(super) fn mapping_schema() -> Value {
    json!({
        "type": "object",
        "description": "For `map`: {target: source}. For `rename`: {old name: new name}",
        "additionalProperties": {
            "oneOf": [
                { "type": "string", "minLength": 1, "description": "A path into the item, such as `a.b[0]`" },
                {
                    "type": "object",
                    "properties": {
                        "path": { "type": "string", "minLength": 1 },
                        "default": { "description": "The value to use if the path is missing or null" },
                        "type": { "enum": ["string", "integer", "number", "boolean"] },
                        "constant": { "description": "A fixed value, used instead of a path" },
                    },
                    "additionalProperties": false,
                },
            ],
        },
    })
}

impl Mapping {
    /// Parses all paths; the error names the invalid target.
    pub(super) fn new(parameters: Map<String, Value>) -> Result<Self, ToolError> {
        let fields = parameters.into_iter().map(|(target, source)| {
            Field::new(&target, source)
                .map_err(|why| invalid("invalid_mapping", format!("invalid mapping of `{target}`: {why}")))
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        if fields.is_empty() {
            return Err(invalid("invalid_mapping", "the mapping must not be empty"));
        }
        Ok(Self { fields })
    }

    /// Applies the mapping to `item`; errors name the item by its `index`.
    pub(super) fn apply(&self, item: &Map<String, Value>, index: usize) -> Result<Map<String, Value>, ToolError> {
        let mut mapped = Map::new();
        for field in &self.fields {
            let value = field.value(item, index)?;
            field.target.set(&mut mapped, value).map_err(|why| invalid("invalid_mapping", why))?;
        }
        Ok(mapped)
    }
}

impl Field {
    fn new(target: &str, source: Value) -> Result<Self, String> {
        let parameter = serde_json::from_value(source)
            .map_err(|_| "expected a path, or an object with `path`, `default`, `type` or `constant`".to_owned())?;
        let object = match parameter {
            SourceParameter::Path(path) => {
                SourceObject { path: Some(path), default: None, r#type: None, constant: None }
            }
            SourceParameter::Object(object) => object,
        };
        let source = match (object.path, object.constant) {
            (Some(path), None) => Source::Path { path: FieldPath::parse(&path)?, default: object.default },
            (None, Some(_)) if object.default.is_some() => {
                return Err("a `constant` does not take a `default`".to_owned());
            }
            (None, Some(constant)) => Source::Constant(constant),
            _ => return Err("exactly one of `path` and `constant` is required".to_owned()),
        };
        Ok(Self { target: FieldPath::parse(target)?, source, r#type: object.r#type })
    }

    fn value(&self, item: &Map<String, Value>, index: usize) -> Result<Value, ToolError> {
        let value = match &self.source {
            Source::Constant(constant) => constant.clone(),
            Source::Path { path, default } => match (path.get_in(item), default) {
                (None | Some(Value::Null), Some(default)) => default.clone(),
                (Some(value), _) => value.clone(),
                (None, None) => return Err(missing(path, item, index)),
            },
        };
        match self.r#type {
            None => Ok(value),
            Some(r#type) => r#type.convert(value).map_err(|why| {
                let message = format!("cannot convert `{}` of item {index}: {why}", self.target);
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

/// Parses a number; an integer stays exact.
fn to_number(text: &str) -> Result<Option<Value>, String> {
    let is_integer = text.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && byte == b'-'));
    match integers::parse(text) {
        None if is_integer && text.len() > 1 => {
            Err(format!("`{}` is too large to be represented exactly", shown(text)))
        }
        None => Ok(text.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number)),
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
        .with_help("a mapping is {target: source}; set a `default` for a source that may be missing")
        .with_details(json!({ "item": index }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(mapping: Value, item: Value) -> Result<Value, String> {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mapping = Mapping::new(object(mapping)).map_err(|error| error.to_string())?;
        let mapped = mapping.apply(&object(item), 3).map_err(|error| error.to_string())?;
        Ok(Value::Object(mapped))
    }

    #[test]
    fn mapping_reads_converts_and_nests_fields() {
        let item = json!({"user": {"id": "7", "tags": ["a", "b"]}, "score": 2.0, "ok": "true", "none": null});
        let mapping = json!({
            "id": {"path": "user.id", "type": "integer"},
            "first.tag": "user.tags[0]",
            "first.kind": {"constant": "tag"},
            "nothing": {"constant": null},
            "score": {"path": "score", "type": "integer"},
            "text": {"path": "score", "type": "string"},
            "ok": {"path": "ok", "type": "boolean"},
            "missing": {"path": "user.age", "default": null},
            "filled": {"path": "none", "default": 1},
            "none": "none",
        });
        let expected = json!({
            "id": 7, "first": {"tag": "a", "kind": "tag"}, "nothing": null, "score": 2, "text": "2.0", "ok": true,
            "missing": null, "filled": 1, "none": null,
        });
        assert_eq!(map(mapping, item), Ok(expected));
    }

    #[test]
    fn texts_of_integers_become_exact_numbers_or_are_rejected() {
        let convert = |text: &str, to: &str| {
            map(json!({"n": {"path": "x", "type": to}}), json!({"x": text})).map(|mapped| mapped["n"].to_string())
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
    fn errors_name_the_invalid_target_or_item() {
        let table = [
            (json!({}), "the mapping must not be empty"),
            (
                json!({"a": 1}),
                "invalid mapping of `a`: expected a path, or an object with `path`, `default`, `type` or `constant`",
            ),
            (json!({"a": {}}), "invalid mapping of `a`: exactly one of `path` and `constant` is required"),
            (
                json!({"a": {"constant": 1, "default": 2}}),
                "invalid mapping of `a`: a `constant` does not take a `default`",
            ),
            (json!({"a[0]": "x"}), "cannot set `a[0]`: a target path must not contain an index"),
            (json!({"a": "x", "a.b": "x"}), "cannot set `a.b`: a parent of this path is not an object"),
            (
                json!({"a": "y.z"}),
                "item 3 has no value at `y.z`; its fields: `x` (a mapping is {target: source}; set a `default` for a source that may be missing)",
            ),
            (
                json!({"a": {"path": "x", "type": "integer"}}),
                "cannot convert `a` of item 3: a string \"one\" is not a valid integer",
            ),
        ];
        for (mapping, expected) in table {
            assert_eq!(map(mapping.clone(), json!({"x": "one"})), Err(expected.to_owned()), "{mapping}");
        }
    }
}
