//! A value during evaluation, borrowed unless it had to be computed.

use std::borrow::Cow;
use std::ops::Deref;

use serde_json::Value;

use super::error::Fault;
use super::number::Num;
use super::scope::Segment;

/// A value during evaluation.
#[derive(Debug)]
pub(super) enum ExprValue<'e, 's> {
    /// Borrowed from the scope.
    Scope(&'s Value),
    /// A literal borrowed from the expression.
    Tree(&'e Value),
    /// Computed.
    Owned(Value),
}

impl Deref for ExprValue<'_, '_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Scope(value) => value,
            Self::Tree(value) => value,
            Self::Owned(value) => value,
        }
    }
}

impl<T: Into<Value>> From<T> for ExprValue<'_, '_> {
    fn from(value: T) -> Self {
        Self::Owned(value.into())
    }
}

impl<'s> ExprValue<'_, 's> {
    pub(super) const NULL: Self = Self::Owned(Value::Null);

    /// Wraps a value returned by a scope.
    pub(super) fn from_scope(value: Cow<'s, Value>) -> Self {
        match value {
            Cow::Borrowed(value) => Self::Scope(value),
            Cow::Owned(value) => Self::Owned(value),
        }
    }

    /// Converts to a value that outlives the expression.
    pub(super) fn into_cow(self) -> Cow<'s, Value> {
        match self {
            Self::Scope(value) => Cow::Borrowed(value),
            Self::Tree(value) => Cow::Owned(value.clone()),
            Self::Owned(value) => Cow::Owned(value),
        }
    }

    /// Returns the value, cloned if it is borrowed; the copy is not charged to the budget.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Scope(value) => value.clone(),
            Self::Tree(value) => value.clone(),
            Self::Owned(value) => value,
        }
    }

    /// Looks up a key in the value; returns the value itself if the key does not exist.
    pub(super) fn member(mut self, key: &Segment<'_>) -> Result<Self, Self> {
        let found = match &mut self {
            Self::Scope(value) => member(value, key).map(Member::in_scope),
            Self::Tree(value) => member(value, key).map(Member::in_tree),
            Self::Owned(value) => match slot(value, key) {
                Some(slot) => Some(Self::Owned(std::mem::take(slot))),
                None => member(value, key).map(Member::into_owned),
            },
        };
        found.ok_or(self)
    }
}

enum Member<'v> {
    Borrowed(&'v Value),
    Computed(Value),
}

impl<'v> Member<'v> {
    fn in_scope<'e>(self) -> ExprValue<'e, 'v> {
        match self {
            Self::Borrowed(value) => ExprValue::Scope(value),
            Self::Computed(value) => ExprValue::Owned(value),
        }
    }

    fn in_tree<'s>(self) -> ExprValue<'v, 's> {
        match self {
            Self::Borrowed(value) => ExprValue::Tree(value),
            Self::Computed(value) => ExprValue::Owned(value),
        }
    }

    fn into_owned<'e, 's>(self) -> ExprValue<'e, 's> {
        match self {
            Self::Borrowed(value) => ExprValue::Owned(value.clone()),
            Self::Computed(value) => ExprValue::Owned(value),
        }
    }
}

/// Returns a mutable reference to the value of a key in an owned value, so that it can be moved
/// out.
fn slot<'v>(value: &'v mut Value, key: &Segment<'_>) -> Option<&'v mut Value> {
    match (value, key) {
        (Value::Object(fields), Segment::Name(name)) => fields.get_mut(&**name),
        (Value::Array(items), Segment::Index(index)) => {
            let position = position(*index, items.len())?;
            items.get_mut(position)
        }
        _ => None,
    }
}

fn member<'v>(value: &'v Value, key: &Segment<'_>) -> Option<Member<'v>> {
    match (value, key) {
        (Value::Object(fields), Segment::Name(name)) => match fields.get(&**name) {
            Some(field) => Some(Member::Borrowed(field)),
            None if name == "length" => Some(length(fields.len())),
            None => None,
        },
        (Value::Object(fields), Segment::Index(index)) => fields.get(&index.to_string()).map(Member::Borrowed),
        (Value::Array(items), Segment::Name(name)) => match &**name {
            "length" => Some(length(items.len())),
            name => items.get(parse_index(name)?).map(Member::Borrowed),
        },
        (Value::Array(items), Segment::Index(index)) => items.get(position(*index, items.len())?).map(Member::Borrowed),
        (Value::String(text), Segment::Name(name)) if name == "length" => Some(length(text.chars().count())),
        (Value::String(text), Segment::Index(index)) => {
            let position = match usize::try_from(*index) {
                Ok(position) => position,
                Err(_) => position(*index, text.chars().count())?,
            };
            let character = text.chars().nth(position)?;
            Some(Member::Computed(Value::String(character.to_string())))
        }
        _ => None,
    }
}

fn length(length: usize) -> Member<'static> {
    Member::Computed(Value::from(length))
}

/// Parses a list index written as a name, such as the `0` in `a['0']`.
fn parse_index(name: &str) -> Option<usize> {
    let index: usize = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

/// Converts an index to a position; a negative index counts from the end.
pub(super) fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(position) => Some(position),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// Returns whether a value is truthy, as in JavaScript: null, false, zero and the empty string are
/// not.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => !Num::from(number).is_zero(),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Returns the type of a value, as `type()` does.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the type of a value with its indefinite article, for messages.
pub(super) fn type_with_article(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Converts a computed value to a key; null gives `None`, which matches no key.
pub(super) fn to_key<'v>(value: &'v Value) -> Result<Option<Segment<'v>>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) => Ok(Some(Segment::Name(Cow::Borrowed(name)))),
        Value::Number(number) => match Num::from(number).as_i64() {
            Some(index) => Ok(Some(Segment::Index(index))),
            None => Err(Fault::Type(format!("an index must be an integer, got {number}"))),
        },
        other => Err(Fault::Type(format!("a key must be a string or an integer, got {}", type_with_article(other)))),
    }
}
