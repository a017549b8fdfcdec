use std::{
    borrow::Cow,
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value};

use super::List;

/// A JSON value that is cheap to clone and may share parts with other values.
///
/// A `SharedValue` dereferences to the JSON value. A value composed of parts is assembled when it is first read as a
/// whole.
///
/// ```
/// use llmspell_workflows_basic::state::SharedValue;
/// use serde_json::json;
///
/// let large = SharedValue::from(json!({"text": "a long text"}));
/// let both = SharedValue::object(vec![("one".to_owned(), large.clone()), ("two".to_owned(), large)]);
/// assert_eq!(both["two"]["text"], "a long text");
/// ```
#[derive(Clone)]
pub struct SharedValue(Form);

#[derive(Clone)]
enum Form {
    Whole(Arc<Value>),
    Composite(Arc<Composite>),
}

struct Composite {
    parts: Parts,
    /// Whether the value contains a growing list.
    grows: bool,
    whole: OnceLock<Arc<Value>>,
}

/// The parts of a [`SharedValue`].
#[derive(Debug, Clone)]
pub enum Parts {
    /// An object.
    Object(Vec<(String, SharedValue)>),
    /// A list of shared values.
    Array(Vec<SharedValue>),
    /// A list that shares its items with shorter lists.
    List(List),
}

impl SharedValue {
    /// Creates an object from fields with unique names.
    #[must_use]
    pub fn object(mut fields: Vec<(String, Self)>) -> Self {
        // Sorts the fields as in a JSON object.
        fields.sort_by(|(one, _), (two, _)| one.cmp(two));
        let grows = fields.iter().any(|(_, value)| value.grows());
        Self::composite(Parts::Object(fields), grows)
    }

    /// Creates a list of items.
    #[must_use]
    pub fn array(items: Vec<Self>) -> Self {
        let grows = items.iter().any(Self::grows);
        Self::composite(Parts::Array(items), grows)
    }

    fn composite(parts: Parts, grows: bool) -> Self {
        Self(Form::Composite(Arc::new(Composite { parts, grows, whole: OnceLock::new() })))
    }

    /// Returns the parts of a composite value.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        match &self.0 {
            Form::Whole(_) => None,
            Form::Composite(made) => Some(&made.parts),
        }
    }

    /// Returns the list, if the value is a list that shares its items with shorter lists.
    #[must_use]
    pub fn list(&self) -> Option<&List> {
        match self.parts() {
            Some(Parts::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Returns whether the value is a non-empty list.
    pub(crate) fn has_items(&self) -> bool {
        match self.parts() {
            Some(Parts::List(list)) => !list.is_empty(),
            Some(Parts::Array(items)) => !items.is_empty(),
            Some(Parts::Object(_)) => false,
            None => self.as_array().is_some_and(|items| !items.is_empty()),
        }
    }

    /// Returns an equal value that does not share the cache of an assembled list.
    pub(super) fn unshared(&self) -> Self {
        self.list().map_or_else(|| self.clone(), |list| list.clone().into())
    }

    fn grows(&self) -> bool {
        matches!(&self.0, Form::Composite(made) if made.grows)
    }

    /// Returns an address that identifies the value as long as it exists; clones have the same address.
    #[must_use]
    pub fn address(&self) -> usize {
        match &self.0 {
            Form::Whole(value) => Arc::as_ptr(value).addr(),
            Form::Composite(made) => match &made.parts {
                Parts::List(list) => list.address(),
                _ => Arc::as_ptr(made).addr(),
            },
        }
    }

    /// Returns the whole value for reading.
    ///
    /// A value with a growing list is assembled for this call only: caching it would take quadratic space for such a
    /// list.
    #[must_use]
    pub fn read(&self) -> Cow<'_, Value> {
        if self.grows() { Cow::Owned(self.assemble()) } else { Cow::Borrowed(self) }
    }

    /// Returns the whole value.
    #[must_use]
    pub fn to_arc(&self) -> Arc<Value> {
        match &self.0 {
            Form::Whole(value) => value.clone(),
            Form::Composite(made) => match made.whole.get() {
                Some(whole) => whole.clone(),
                None if made.grows => Arc::new(self.assemble()),
                None => made.whole.get_or_init(|| Arc::new(self.assemble())).clone(),
            },
        }
    }

    /// Returns the whole value; copies it if it is shared.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self.0 {
            Form::Whole(value) => Arc::unwrap_or_clone(value),
            Form::Composite(_) => self.assemble(),
        }
    }

    fn assemble(&self) -> Value {
        match self.parts() {
            None => Value::clone(self),
            Some(Parts::Object(fields)) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.assemble()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Some(Parts::Array(items)) => Value::Array(items.iter().map(Self::assemble).collect()),
            Some(Parts::List(list)) => Value::Array(list.to_vec()),
        }
    }
}

impl Deref for SharedValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        match &self.0 {
            Form::Whole(value) => value,
            Form::Composite(made) => made.whole.get_or_init(|| Arc::new(self.assemble())),
        }
    }
}

impl Default for SharedValue {
    fn default() -> Self {
        Value::Null.into()
    }
}

impl From<Value> for SharedValue {
    fn from(value: Value) -> Self {
        Arc::new(value).into()
    }
}

impl From<Arc<Value>> for SharedValue {
    fn from(value: Arc<Value>) -> Self {
        Self(Form::Whole(value))
    }
}

impl From<List> for SharedValue {
    fn from(list: List) -> Self {
        Self::composite(Parts::List(list), true)
    }
}

impl PartialEq for SharedValue {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address() || self.read() == other.read()
    }
}

impl fmt::Debug for SharedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.read(), f)
    }
}

impl fmt::Display for SharedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.read(), f)
    }
}

impl Serialize for SharedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.parts() {
            None => self.deref().serialize(serializer),
            Some(Parts::Object(fields)) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
            Some(Parts::Array(items)) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Some(Parts::List(list)) => list.to_vec().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SharedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grown() -> SharedValue {
        let list = List::after(&json!([1]).into(), Arc::from([json!(2)])).unwrap();
        SharedValue::object(vec![("list".to_owned(), list.into()), ("n".to_owned(), json!(7).into())])
    }

    #[test]
    fn composite_values_read_and_serialize_like_plain_json() {
        let whole = json!({"all": [{"list": [1, 2], "n": 7}]});
        let made = SharedValue::object(vec![("all".to_owned(), SharedValue::array(vec![grown()]))]);
        assert_eq!(made, SharedValue::from(whole.clone()));
        assert_eq!(json!(made), whole);
        assert_eq!((made.to_arc(), made.clone().into_value()), (Arc::new(whole.clone()), whole.clone()));
        assert_eq!(made["all"][0]["list"][1], 2);
        assert_eq!(serde_json::from_value::<SharedValue>(whole).unwrap(), made);
    }

    #[test]
    fn reading_a_growing_list_does_not_cache_it() {
        let made = grown();
        assert!(matches!(made.read(), Cow::Owned(_)));
        let fixed = SharedValue::array(vec![json!(1).into()]);
        assert!(matches!(fixed.read(), Cow::Borrowed(_)));
    }
}
