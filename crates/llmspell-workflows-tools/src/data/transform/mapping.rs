use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ToolError;
use crate::data::path::FieldPath;
use crate::data::support::{invalid, kind_of};

/// How the value of one target field is found.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Written {
    /// A path into the item.
    Path(String),
    /// A path with more to it, or a constant.
    Detailed(Detailed),
}

/// The long form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detailed {
    path: Option<String>,
    #[serde(default, deserialize_with = "some")]
    default: Option<Value>,
    r#type: Option<Type>,
    #[serde(default, deserialize_with = "some")]
    constant: Option<Value>,
}

/// What a value is converted to.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
}

/// A mapping, ready to be used on many items.
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

/// A null that was written is a value, a field that is missing is none.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The schema of a mapping.
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
                        "default": { "description": "The value where the path leads nowhere or to null" },
                        "type": { "enum": ["string", "integer", "number", "boolean"] },
                        "constant": { "description": "The value itself, instead of a path" },
                    },
                    "additionalProperties": false,
                },
            ],
        },
    })
}

impl Mapping {
    /// Reads all paths; the error names the target.
    pub(super) fn new(written: Map<String, Value>) -> Result<Self, ToolError> {
        let fields = written.into_iter().map(|(target, source)| {
            Field::new(&target, source)
                .map_err(|why| invalid("invalid_mapping", format!("the mapping of `{target}` cannot be used: {why}")))
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        if fields.is_empty() {
            return Err(invalid("invalid_mapping", "the mapping is empty"));
        }
        Ok(Self { fields })
    }

    /// The item that this mapping makes of `item`, which is number `index`.
    pub(super) fn apply(&self, item: &Map<String, Value>, index: usize) -> Result<Map<String, Value>, ToolError> {
        let mut made = Map::new();
        for field in &self.fields {
            let value = field.value(item, index)?;
            field.target.set(&mut made, value).map_err(|why| invalid("invalid_mapping", why))?;
        }
        Ok(made)
    }
}

impl Field {
    fn new(target: &str, source: Value) -> Result<Self, String> {
        let written = serde_json::from_value(source)
            .map_err(|_| "it should be a path, or an object of path, default, type, constant".to_owned())?;
        let detailed = match written {
            Written::Path(path) => Detailed { path: Some(path), default: None, r#type: None, constant: None },
            Written::Detailed(detailed) => detailed,
        };
        let source = match (detailed.path, detailed.constant) {
            (Some(path), None) => Source::Path { path: FieldPath::parse(&path)?, default: detailed.default },
            (None, Some(_)) if detailed.default.is_some() => {
                return Err("a `constant` needs no `default`".to_owned());
            }
            (None, Some(constant)) => Source::Constant(constant),
            _ => return Err("it needs either a `path` or a `constant`".to_owned()),
        };
        Ok(Self { target: FieldPath::parse(target)?, source, r#type: detailed.r#type })
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
                let message = format!("`{}` of item {index} cannot be made: {why}", self.target);
                invalid("conversion_failed", message).with_details(json!({ "item": index }))
            }),
        }
    }
}

impl Type {
    /// The value as this type; null stays null.
    fn convert(self, value: Value) -> Result<Value, String> {
        let converted = match (self, &value) {
            (_, Value::Null) => Some(Value::Null),
            (Self::String, Value::String(_)) | (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => {
                Some(value.clone())
            }
            (Self::String, Value::Number(_) | Value::Bool(_)) => Some(json!(value.to_string())),
            (Self::Integer, Value::Number(number)) => whole(number),
            (Self::Integer, Value::String(text)) => text.trim().parse::<i64>().ok().map(Value::from),
            (Self::Number, Value::String(text)) => {
                let number = text.trim().parse::<f64>().ok();
                number.and_then(serde_json::Number::from_f64).map(Value::Number)
            }
            (Self::Boolean, Value::String(text)) => match text.trim() {
                "true" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => None,
            },
            _ => None,
        };
        converted.ok_or_else(|| {
            let shown: String = value.to_string().chars().take(60).collect();
            format!("{} {shown} is no {}", kind_of(&value), self.name())
        })
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

/// The number as an integer, where it has no fraction.
fn whole(number: &serde_json::Number) -> Option<Value> {
    if !number.is_f64() {
        return Some(Value::Number(number.clone()));
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
    let integer = float as i64;
    Some(json!(integer))
}

fn missing(path: &FieldPath, item: &Map<String, Value>, index: usize) -> ToolError {
    let names: Vec<String> = item.keys().take(10).map(|name| format!("`{name}`")).collect();
    let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    invalid("missing_value", format!("item {index} has nothing at `{path}`; it has {has}"))
        .with_help("a mapping is {target: source}; give the source a `default` where it may be missing")
        .with_details(json!({ "item": index }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(mapping: Value, item: Value) -> Result<Value, String> {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mapping = Mapping::new(object(mapping)).map_err(|error| error.to_string())?;
        let made = mapping.apply(&object(item), 3).map_err(|error| error.to_string())?;
        Ok(Value::Object(made))
    }

    #[test]
    fn fields_are_found_converted_and_nested() {
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
    fn what_is_wrong_is_said() {
        let table = [
            (json!({}), "the mapping is empty"),
            (
                json!({"a": 1}),
                "the mapping of `a` cannot be used: it should be a path, or an object of path, default, type, constant",
            ),
            (json!({"a": {}}), "the mapping of `a` cannot be used: it needs either a `path` or a `constant`"),
            (
                json!({"a": {"constant": 1, "default": 2}}),
                "the mapping of `a` cannot be used: a `constant` needs no `default`",
            ),
            (json!({"a[0]": "x"}), "`a[0]` cannot be written; a target path has names only"),
            (json!({"a": "x", "a.b": "x"}), "`a.b` cannot be written, since a part of it is already a plain value"),
            (
                json!({"a": "y.z"}),
                "item 3 has nothing at `y.z`; it has `x` (a mapping is {target: source}; give the source a `default` where it may be missing)",
            ),
            (
                json!({"a": {"path": "x", "type": "integer"}}),
                "`a` of item 3 cannot be made: a string \"one\" is no integer",
            ),
        ];
        for (mapping, expected) in table {
            assert_eq!(map(mapping.clone(), json!({"x": "one"})), Err(expected.to_owned()), "{mapping}");
        }
    }
}
