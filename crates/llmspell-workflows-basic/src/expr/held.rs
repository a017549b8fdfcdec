//! A value during an evaluation, borrowed as long as nothing has to be made.

use std::borrow::Cow;
use std::ops::Deref;

use serde_json::Value;

use super::error::Fault;
use super::number::Num;
use super::scope::Segment;

#[derive(Debug)]
pub(super) enum Held<'e, 's> {
    /// It lives in the scope.
    Scope(&'s Value),
    /// It is written in the expression.
    Tree(&'e Value),
    /// It was made.
    Owned(Value),
}

impl Deref for Held<'_, '_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Scope(value) => value,
            Self::Tree(value) => value,
            Self::Owned(value) => value,
        }
    }
}

impl<T: Into<Value>> From<T> for Held<'_, '_> {
    fn from(value: T) -> Self {
        Self::Owned(value.into())
    }
}

impl<'s> Held<'_, 's> {
    pub(super) const NULL: Self = Self::Owned(Value::Null);

    /// What a scope found.
    pub(super) fn found(value: Cow<'s, Value>) -> Self {
        match value {
            Cow::Borrowed(value) => Self::Scope(value),
            Cow::Owned(value) => Self::Owned(value),
        }
    }

    /// What is left when the expression is gone.
    pub(super) fn into_cow(self) -> Cow<'s, Value> {
        match self {
            Self::Scope(value) => Cow::Borrowed(value),
            Self::Tree(value) => Cow::Owned(value.clone()),
            Self::Owned(value) => Cow::Owned(value),
        }
    }

    /// The value itself; copied, and not paid for, unless it was made.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Scope(value) => value.clone(),
            Self::Tree(value) => value.clone(),
            Self::Owned(value) => value,
        }
    }

    /// What a key finds in the value; the value again where it finds nothing.
    pub(super) fn member(mut self, key: &Segment<'_>) -> Result<Self, Self> {
        let found = match &mut self {
            Self::Scope(value) => member(value, key).map(Member::in_scope),
            Self::Tree(value) => member(value, key).map(Member::in_tree),
            Self::Owned(value) => match slot(value, key) {
                Some(slot) => Some(Self::Owned(std::mem::take(slot))),
                None => member(value, key).map(Member::made),
            },
        };
        found.ok_or(self)
    }
}

enum Member<'v> {
    There(&'v Value),
    Made(Value),
}

impl<'v> Member<'v> {
    fn in_scope<'e>(self) -> Held<'e, 'v> {
        match self {
            Self::There(value) => Held::Scope(value),
            Self::Made(value) => Held::Owned(value),
        }
    }

    fn in_tree<'s>(self) -> Held<'v, 's> {
        match self {
            Self::There(value) => Held::Tree(value),
            Self::Made(value) => Held::Owned(value),
        }
    }

    fn made<'e, 's>(self) -> Held<'e, 's> {
        match self {
            Self::There(value) => Held::Owned(value.clone()),
            Self::Made(value) => Held::Owned(value),
        }
    }
}

/// What a key finds in a value that nobody else needs, so that it can be taken out.
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
            Some(field) => Some(Member::There(field)),
            None if name == "length" => Some(length(fields.len())),
            None => None,
        },
        (Value::Object(fields), Segment::Index(index)) => fields.get(&index.to_string()).map(Member::There),
        (Value::Array(items), Segment::Name(name)) => match &**name {
            "length" => Some(length(items.len())),
            name => items.get(written_index(name)?).map(Member::There),
        },
        (Value::Array(items), Segment::Index(index)) => items.get(position(*index, items.len())?).map(Member::There),
        (Value::String(text), Segment::Name(name)) if name == "length" => Some(length(text.chars().count())),
        (Value::String(text), Segment::Index(index)) => {
            let position = match usize::try_from(*index) {
                Ok(position) => position,
                Err(_) => position(*index, text.chars().count())?,
            };
            let character = text.chars().nth(position)?;
            Some(Member::Made(Value::String(character.to_string())))
        }
        _ => None,
    }
}

fn length(length: usize) -> Member<'static> {
    Member::Made(Value::from(length))
}

/// A list's index that came as text, as the parts of an address do.
fn written_index(name: &str) -> Option<usize> {
    let index: usize = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

/// The position that an index means, which counts from the end if it is negative.
pub(super) fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(position) => Some(position),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// Truth as in JavaScript: null, false, zero and empty text are false.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => !Num::from(number).is_zero(),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// The kind of a value, as `type()` names it.
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

/// The kind of a value in a message.
pub(super) fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The key that a computed value is; none for null, which finds nothing.
pub(super) fn as_key<'v>(value: &'v Value) -> Result<Option<Segment<'v>>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) => Ok(Some(Segment::Name(Cow::Borrowed(name)))),
        Value::Number(number) => match Num::from(number).as_i64() {
            Some(index) => Ok(Some(Segment::Index(index))),
            None => Err(Fault::Type(format!("{number} is not a whole number, as an index is"))),
        },
        other => Err(Fault::Type(format!("a key is a text or a whole number, not {}", described(other)))),
    }
}
