//! What is known of values before a run.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use crate::expr::Key;

/// What is known of a value before a run, such as the fields of a step's output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shape {
    /// Any value.
    #[default]
    Any,
    /// A string, a number or a boolean, which has no fields.
    Scalar,
    /// A list of items of one shape.
    List(Box<Shape>),
    /// An object that has no other fields than these.
    Object(BTreeMap<Cow<'static, str>, Shape>),
}

/// The first key of a reference that the value cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingField {
    /// The position of the key.
    pub(crate) position: usize,
    pub(crate) name: String,
    /// The fields that the value has; none if it is not an object.
    pub(crate) known: Vec<String>,
}

impl Shape {
    /// Creates the shape of an object with these fields.
    pub fn object<N: Into<Cow<'static, str>>>(fields: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Object(fields.into_iter().map(|(name, shape)| (name.into(), shape)).collect())
    }

    /// Creates the shape of an object whose fields are strings, numbers or booleans.
    pub fn flat(fields: impl IntoIterator<Item = &'static str>) -> Self {
        Self::object(fields.into_iter().map(|name| (name, Self::Scalar)))
    }

    /// Returns the shape of the values that a JSON Schema admits. Only an object with `additionalProperties: false` is
    /// known to have no other fields.
    #[must_use]
    pub fn of_schema(schema: &Value) -> Self {
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        match (schema["type"].as_str(), schema["properties"].as_object()) {
            (Some("string" | "number" | "integer" | "boolean"), _) => Self::Scalar,
            (Some("array"), _) => Self::List(Box::new(schema.get("items").map(Self::of_schema).unwrap_or_default())),
            (Some("object"), Some(fields)) if is_closed => {
                Self::object(fields.iter().map(|(name, schema)| (name.clone(), Self::of_schema(schema))))
            }
            _ => Self::Any,
        }
    }

    /// Returns the shape of `value`. The items of a list may have any shape.
    #[must_use]
    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Self::Scalar,
            Value::Array(_) => Self::List(Box::default()),
            Value::Object(fields) => {
                Self::object(fields.iter().map(|(name, value)| (name.clone(), Self::of_value(value))))
            }
        }
    }

    /// Returns the shape of the part that `keys` select one inside the other.
    pub(crate) fn at(&self, keys: &[Key]) -> &Self {
        static ANY: Shape = Shape::Any;
        static SCALAR: Shape = Shape::Scalar;
        let mut shape = self;
        for key in keys {
            shape = match (shape, key) {
                (Self::Any, _) => return &ANY,
                (_, Key::Name(name)) if name == "length" => &SCALAR,
                (Self::List(item), Key::Index(_)) => item,
                (Self::Object(fields), Key::Name(name)) => fields.get(&**name).unwrap_or(&ANY),
                (Self::Scalar, Key::Index(_)) => &SCALAR,
                _ => return &ANY,
            };
        }
        shape
    }

    /// Checks that a value of this shape can have the parts that `keys` select one inside the other.
    pub(crate) fn check(&self, keys: &[Key]) -> Result<(), MissingField> {
        let mut shape = self;
        for (position, key) in keys.iter().enumerate() {
            let missing = |name: &dyn ToString, known| Err(MissingField { position, name: name.to_string(), known });
            shape = match (shape, key) {
                (Self::Any, _) => return Ok(()),
                // Every text, list and object has a length.
                (_, Key::Name(name)) if name == "length" => &Self::Scalar,
                (Self::List(item), Key::Index(_)) => item,
                (Self::Object(fields), Key::Name(name)) => match fields.get(&**name) {
                    Some(field) => field,
                    None => return missing(name, fields.keys().map(|name| name.to_string()).collect()),
                },
                (Self::Scalar | Self::List(_), Key::Name(name)) => return missing(name, Vec::new()),
                (Self::Object(fields), Key::Index(index)) => {
                    return missing(index, fields.keys().map(|name| name.to_string()).collect());
                }
                (Self::Scalar, Key::Index(_)) => return Ok(()),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expr::Expr;

    fn missing(shape: &Shape, reference: &str) -> Option<(usize, String)> {
        let reference = Expr::parse(reference).unwrap().references()[0].clone();
        shape.check(&reference.keys).err().map(|missing| (missing.position, missing.name))
    }

    #[test]
    fn only_fields_that_cannot_exist_are_missing() {
        let shape = Shape::of_schema(&json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "text": {"type": "string"},
                "any": {},
                "open": {"type": "object", "properties": {"a": {"type": "string"}}},
                "rows": {"type": "array", "items": {
                    "type": "object", "additionalProperties": false, "properties": {"id": {"type": "integer"}},
                }},
            },
        }));
        for known in
            ["x.text", "x.text.length", "x.any.y.z", "x.open.b", "x.rows[0].id", "x.rows.length", "x.length", "x"]
        {
            assert_eq!(missing(&shape, known), None, "{known}");
        }
        for (unknown, position, name) in [
            ("x.txt", 0, "txt"),
            ("x.text.id", 1, "id"),
            ("x.rows.id", 1, "id"),
            ("x.rows[0].name", 2, "name"),
            ("x[0]", 0, "0"),
        ] {
            assert_eq!(missing(&shape, unknown), Some((position, name.to_owned())), "{unknown}");
        }
        assert_eq!(missing(&Shape::Any, "x.a.b"), None);
    }
}
