//! Shapes of values, as far as they are known before a run.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use crate::expr::Key;

/// The shape of a value, such as the fields of a step's output, as far as it is known before a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shape {
    /// Any value.
    #[default]
    Any,
    /// A string, a number or a boolean, which has no fields.
    Scalar,
    /// A list of items of one shape.
    List(Box<Shape>),
    /// A list with one item of each of these shapes.
    Tuple(Vec<Shape>),
    /// An object with no fields other than these.
    Object(BTreeMap<Cow<'static, str>, Shape>),
}

/// A reference's first key that cannot exist in the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingField {
    /// The position of the key.
    pub(crate) position: usize,
    pub(crate) name: String,
    /// The value's fields; empty if the value is not an object.
    pub(crate) known: Vec<String>,
    /// Whether the value is a list.
    pub(crate) is_list: bool,
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

    /// Returns the shape of a value that has one of the two shapes. If both are objects, the value
    /// may have the fields of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Scalar, Self::Scalar) => Self::Scalar,
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.or(*other))),
            (Self::Object(mut fields), Self::Object(others)) => {
                for (name, other) in others {
                    let field = match fields.remove(&name) {
                        Some(field) => field.or(other),
                        None => other,
                    };
                    fields.insert(name, field);
                }
                Self::Object(fields)
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

    /// Returns the shape of the part selected by the nested `keys`.
    pub(crate) fn at(&self, keys: &[Key]) -> &Self {
        static ANY: Shape = Shape::Any;
        static SCALAR: Shape = Shape::Scalar;
        let mut shape = self;
        for key in keys {
            shape = match (shape, key) {
                (Self::Any, _) => return &ANY,
                (_, Key::Name(name)) if name == "length" => &SCALAR,
                (Self::List(item), Key::Index(_)) => item,
                (Self::Tuple(items), Key::Index(index)) => item_at(items, *index).unwrap_or(&ANY),
                (Self::Object(fields), Key::Name(name)) => fields.get(&**name).unwrap_or(&ANY),
                (Self::Scalar, Key::Index(_)) => &SCALAR,
                _ => return &ANY,
            };
        }
        shape
    }

    /// Checks that a value of this shape can have the part selected by the nested `keys`.
    pub(crate) fn check(&self, keys: &[Key]) -> Result<(), MissingField> {
        let mut shape = self;
        for (position, key) in keys.iter().enumerate() {
            let is_list = matches!(shape, Self::List(_) | Self::Tuple(_));
            let missing =
                |name: &dyn ToString, known| Err(MissingField { position, name: name.to_string(), known, is_list });
            shape = match (shape, key) {
                (Self::Any, _) => return Ok(()),
                // Every string, list and object has a length.
                (_, Key::Name(name)) if name == "length" => &Self::Scalar,
                (Self::List(item), Key::Index(_)) => item,
                (Self::Tuple(items), Key::Index(index)) => {
                    let from_start =
                        if *index < 0 { index.saturating_add_unsigned(items.len() as u64) } else { *index };
                    match usize::try_from(from_start).ok().and_then(|at| items.get(at)) {
                        Some(item) => item,
                        None => return missing(index, Vec::new()),
                    }
                }
                (Self::Object(fields), Key::Name(name)) => match fields.get(&**name) {
                    Some(field) => field,
                    None => return missing(name, fields.keys().map(|name| name.to_string()).collect()),
                },
                (Self::Scalar | Self::List(_) | Self::Tuple(_), Key::Name(name)) => return missing(name, Vec::new()),
                (Self::Object(fields), Key::Index(index)) => {
                    return missing(index, fields.keys().map(|name| name.to_string()).collect());
                }
                (Self::Scalar, Key::Index(_)) => return Ok(()),
            };
        }
        Ok(())
    }
}

/// Returns the item at `index`, which counts from the end if it is negative.
pub(crate) fn item_at<T>(items: &[T], index: i64) -> Option<&T> {
    let from_start = if index < 0 { index.saturating_add_unsigned(items.len() as u64) } else { index };
    items.get(usize::try_from(from_start).ok()?)
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
    fn only_impossible_fields_are_reported_missing() {
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

    #[test]
    fn union_of_two_shapes_allows_the_fields_of_either() {
        let either = Shape::flat(["a", "b"]).or(Shape::object([("b", Shape::flat(["c"])), ("d", Shape::Scalar)]));
        for known in ["x.a", "x.b", "x.b.c", "x.d"] {
            assert_eq!(missing(&either, known), None, "{known}");
        }
        for (unknown, position) in [("x.c", 0), ("x.a.b", 1)] {
            assert_eq!(missing(&either, unknown).map(|(at, _)| at), Some(position), "{unknown}");
        }
        assert_eq!(Shape::Scalar.or(Shape::flat(["a"])), Shape::Any);
        let lists = [Shape::flat(["a"]), Shape::flat(["b"])].map(|item| Shape::List(Box::new(item)));
        let [one, other] = lists;
        assert_eq!(one.or(other), Shape::List(Box::new(Shape::flat(["a", "b"]))));
    }

    #[test]
    fn each_tuple_item_has_its_own_shape() {
        let tuple = Shape::Tuple(vec![Shape::flat(["a"]), Shape::flat(["b"])]);
        for known in ["x[0].a", "x[1].b", "x[-1].b", "x[-2].a", "x.length"] {
            assert_eq!(missing(&tuple, known), None, "{known}");
        }
        for (unknown, position) in [("x[0].b", 1), ("x[2]", 0), ("x[-3]", 0), ("x.a", 0)] {
            assert_eq!(missing(&tuple, unknown).map(|(at, _)| at), Some(position), "{unknown}");
        }
    }
}
