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

/// A JSON value that is cheap to clone, and whose parts may be shared with other values.
///
/// It reads like the value: it derefs to it. What is made of parts is put together when somebody first reads it as a
/// whole.
///
/// ```
/// use llmspell_workflows_basic::state::SharedValue;
/// use serde_json::json;
///
/// let large = SharedValue::from(json!({"text": "much of it"}));
/// let both = SharedValue::object(vec![("one".to_owned(), large.clone()), ("two".to_owned(), large)]);
/// assert_eq!(both["two"]["text"], "much of it");
/// ```
#[derive(Clone)]
pub struct SharedValue(Form);

#[derive(Clone)]
enum Form {
    Whole(Arc<Value>),
    Made(Arc<Made>),
}

struct Made {
    parts: Parts,
    /// Whether a list that grows is among the parts.
    grows: bool,
    whole: OnceLock<Arc<Value>>,
}

/// What a [`SharedValue`] is made of.
#[derive(Debug, Clone)]
pub enum Parts {
    /// An object.
    Object(Vec<(String, SharedValue)>),
    /// A list of shared values.
    Array(Vec<SharedValue>),
    /// A list that shares its items with shorter ones.
    List(List),
}

impl SharedValue {
    /// An object of these fields; each name is there once.
    #[must_use]
    pub fn object(mut fields: Vec<(String, Self)>) -> Self {
        // As a JSON object has them.
        fields.sort_by(|(one, _), (two, _)| one.cmp(two));
        let grows = fields.iter().any(|(_, value)| value.grows());
        Self::made(Parts::Object(fields), grows)
    }

    /// A list of these items.
    #[must_use]
    pub fn array(items: Vec<Self>) -> Self {
        let grows = items.iter().any(Self::grows);
        Self::made(Parts::Array(items), grows)
    }

    fn made(parts: Parts, grows: bool) -> Self {
        Self(Form::Made(Arc::new(Made { parts, grows, whole: OnceLock::new() })))
    }

    /// What it is made of; `None`: it is a value of its own.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        match &self.0 {
            Form::Whole(_) => None,
            Form::Made(made) => Some(&made.parts),
        }
    }

    /// The list that it is, where that shares its items with shorter ones.
    #[must_use]
    pub fn list(&self) -> Option<&List> {
        match self.parts() {
            Some(Parts::List(list)) => Some(list),
            _ => None,
        }
    }

    /// The same value, which does not share what was put together of it.
    pub(super) fn apart(&self) -> Self {
        self.list().map_or_else(|| self.clone(), |list| list.clone().into())
    }

    fn grows(&self) -> bool {
        matches!(&self.0, Form::Made(made) if made.grows)
    }

    /// What tells it from all other values while it lives; clones have the same.
    #[must_use]
    pub fn address(&self) -> usize {
        match &self.0 {
            Form::Whole(value) => Arc::as_ptr(value).addr(),
            Form::Made(made) => match &made.parts {
                Parts::List(list) => list.address(),
                _ => Arc::as_ptr(made).addr(),
            },
        }
    }

    /// The value as a whole, to look at.
    ///
    /// Where a list that grows is in it, it is put together for this look alone: kept, each length of such a list would
    /// take as much as all shorter ones together.
    #[must_use]
    pub fn read(&self) -> Cow<'_, Value> {
        if self.grows() { Cow::Owned(self.put_together()) } else { Cow::Borrowed(self) }
    }

    /// The value as a whole.
    #[must_use]
    pub fn to_arc(&self) -> Arc<Value> {
        match &self.0 {
            Form::Whole(value) => value.clone(),
            Form::Made(made) => match made.whole.get() {
                Some(whole) => whole.clone(),
                None if made.grows => Arc::new(self.put_together()),
                None => made.whole.get_or_init(|| Arc::new(self.put_together())).clone(),
            },
        }
    }

    /// The value as a whole; copied unless nothing else shares it.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self.0 {
            Form::Whole(value) => Arc::unwrap_or_clone(value),
            Form::Made(_) => self.put_together(),
        }
    }

    fn put_together(&self) -> Value {
        match self.parts() {
            None => Value::clone(self),
            Some(Parts::Object(fields)) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.put_together()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Some(Parts::Array(items)) => Value::Array(items.iter().map(Self::put_together).collect()),
            Some(Parts::List(list)) => Value::Array(list.to_vec()),
        }
    }
}

impl Deref for SharedValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        match &self.0 {
            Form::Whole(value) => value,
            Form::Made(made) => made.whole.get_or_init(|| Arc::new(self.put_together())),
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
        Self::made(Parts::List(list), true)
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
    fn what_is_made_of_parts_reads_and_serializes_like_the_whole() {
        let whole = json!({"all": [{"list": [1, 2], "n": 7}]});
        let made = SharedValue::object(vec![("all".to_owned(), SharedValue::array(vec![grown()]))]);
        assert_eq!(made, SharedValue::from(whole.clone()));
        assert_eq!(json!(made), whole);
        assert_eq!((made.to_arc(), made.clone().into_value()), (Arc::new(whole.clone()), whole.clone()));
        assert_eq!(made["all"][0]["list"][1], 2);
        assert_eq!(serde_json::from_value::<SharedValue>(whole).unwrap(), made);
    }

    #[test]
    fn a_look_at_a_list_that_grows_keeps_no_copy_of_it() {
        let made = grown();
        assert!(matches!(made.read(), Cow::Owned(_)));
        let of_wholes = SharedValue::array(vec![json!(1).into()]);
        assert!(matches!(of_wholes.read(), Cow::Borrowed(_)));
    }
}
