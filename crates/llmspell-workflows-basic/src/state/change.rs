use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{List, SharedValue};

/// A change to a part of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The changed part.
    pub path: StatePath,
    /// How the part changes.
    #[serde(flatten)]
    pub edit: Edit,
}

/// How a part of the state changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// The part is set to this value.
    #[serde(rename = "value")]
    Set(Arc<Value>),
    /// The items of a list from some index onwards are replaced.
    Append(Append),
}

/// New items at the end of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Append {
    /// The number of kept items.
    at: usize,
    /// The items that follow the kept items.
    items: Arc<[Value]>,
    /// The whole list as seen by the step that made the change; `None` if the change was
    /// deserialized.
    #[serde(skip)]
    list: Option<List>,
}

impl Change {
    /// Returns a change that sets the part at `path` to `value`.
    pub fn set(path: StatePath, value: impl Into<Arc<Value>>) -> Self {
        Self { path, edit: Edit::Set(value.into()) }
    }

    /// Returns a change that sets the top-level key `key` to `value`.
    pub fn key(key: impl Into<String>, value: impl Into<Arc<Value>>) -> Self {
        Self::set(StatePath(vec![Key::Name(key.into())]), value)
    }

    /// Returns a change that sets the top-level key `key`, a list, to the longer list `list`.
    pub(crate) fn extend(key: impl Into<String>, list: List) -> Self {
        Self { path: StatePath(vec![Key::Name(key.into())]), edit: Edit::Append(list.into()) }
    }

    /// Returns the new value of the part; `None` if the change appends items.
    #[must_use]
    pub fn value(&self) -> Option<&Arc<Value>> {
        match &self.edit {
            Edit::Set(value) => Some(value),
            Edit::Append(_) => None,
        }
    }

    /// Returns the part after the change, as seen by the step that made the change; `None` if unknown.
    #[must_use]
    pub fn after(&self) -> Option<SharedValue> {
        match &self.edit {
            Edit::Set(value) => Some(value.clone().into()),
            Edit::Append(append) => append.list.clone().map(SharedValue::from),
        }
    }

    /// Returns the change with the whole list instead of the appended items, if the list is known.
    ///
    /// Unlike an append, the returned change does not depend on the state that the step saw.
    #[must_use]
    pub fn whole(self) -> Self {
        match self.after() {
            Some(after) => Self::set(self.path, after.to_arc()),
            None => self,
        }
    }

    /// Applies `change` to each value being set or appended, for example to mask secrets.
    pub(crate) fn each_value(&mut self, mut change: impl FnMut(&mut Value)) {
        match &mut self.edit {
            Edit::Set(value) => change(Arc::make_mut(value)),
            Edit::Append(append) => {
                let mut items = append.items.to_vec();
                items.iter_mut().for_each(&mut change);
                if items != *append.items {
                    append.items = items.into();
                    let before = append.list.take().map(|list| list.before());
                    append.list = before.and_then(|before| List::after(&before, append.items.clone()));
                }
            }
        }
    }
}

impl Append {
    /// Creates an append that keeps the first `at` items of a list and adds `items` after them.
    pub fn new(at: usize, items: impl Into<Arc<[Value]>>) -> Self {
        Self { at, items: items.into(), list: None }
    }

    /// Returns the number of kept items.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the items that follow the kept items.
    #[must_use]
    pub fn items(&self) -> &Arc<[Value]> {
        &self.items
    }

    /// Applies the change to the list `before` and returns the result. The error
    /// explains why the change cannot be applied.
    pub(super) fn apply_to(&self, before: Option<&SharedValue>) -> Result<SharedValue, String> {
        let nothing = SharedValue::from(Value::Array(Vec::new()));
        let before = before.unwrap_or(&nothing);
        if let Some(list) = self.list.as_ref().filter(|list| list.before().address() == before.address()) {
            return Ok(list.clone().into());
        }
        let count = before.list().map(List::len).or_else(|| before.as_array().map(Vec::len));
        match count {
            Some(count) if count == self.at => {
                let list = List::after(before, self.items.clone());
                list.map(SharedValue::from).ok_or_else(|| "not a list".to_owned())
            }
            Some(count) if count > self.at => {
                let mut items = before.clone().into_value();
                self.apply_in_place(&mut items)?;
                Ok(items.into())
            }
            Some(count) => Err(format!("cannot keep {} items: the list has only {count}", self.at)),
            None => Err("not a list".to_owned()),
        }
    }

    /// Applies the change to the list `value` in place.
    pub(super) fn apply_in_place(&self, value: &mut Value) -> Result<(), String> {
        if value.is_null() && self.at == 0 {
            *value = Value::Array(Vec::new());
        }
        let Value::Array(items) = value else { return Err("not a list".to_owned()) };
        if items.len() < self.at {
            return Err(format!("cannot keep {} items: the list has only {}", self.at, items.len()));
        }
        items.truncate(self.at);
        items.extend_from_slice(&self.items);
        Ok(())
    }
}

impl From<List> for Append {
    fn from(list: List) -> Self {
        Self { at: list.at(), items: list.added().clone(), list: Some(list) }
    }
}

impl PartialEq for Append {
    fn eq(&self, other: &Self) -> bool {
        (self.at, &self.items) == (other.at, &other.items)
    }
}

/// One key in the path of a part of the state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A field of an object.
    Name(String),
    /// An item of an array, counted from 0.
    Index(usize),
}

/// The address of one part of the state, such as `review.findings[0].file`; it starts with a name.
///
/// The JSONPath form `$.review['findings'][0]` is also accepted.
///
/// ```
/// use llmspell_workflows_basic::state::StatePath;
///
/// let path: StatePath = "$.review['findings'][0].file".parse()?;
/// assert_eq!(path.to_string(), "review.findings[0].file");
/// # Ok::<(), llmspell_workflows_basic::state::StatePathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatePath(pub(crate) Vec<Key>);

impl StatePath {
    /// Returns the keys, outermost first.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// Returns the same path below the top-level key `name`.
    #[must_use]
    pub fn with_root(&self, name: impl Into<String>) -> Self {
        let inside = self.0.iter().skip(1).cloned();
        Self([Key::Name(name.into())].into_iter().chain(inside).collect())
    }

    /// Returns whether `other` is this part or a part of it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Returns the top-level key of the path.
    pub(crate) fn root(&self) -> &str {
        match self.0.first() {
            Some(Key::Name(name)) => name,
            _ => "",
        }
    }
}

/// A string that is not a valid [`StatePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid state path `{0}`: write `key`, `key.name[0]` or `$.key['name'][0]`")]
pub struct StatePathError(String);

impl StatePathError {
    /// Returns the stable code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_state_path"
    }
}

impl FromStr for StatePath {
    type Err = StatePathError;

    fn from_str(text: &str) -> Result<Self, StatePathError> {
        parse(text).map(Self).ok_or_else(|| StatePathError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Vec<Key>> {
    let mut rest = match text.strip_prefix("$.") {
        Some(rest) => rest,
        None if text.starts_with("$[") => &text[1..],
        None => text,
    };
    let mut keys = Vec::new();
    let mut name_follows = !rest.starts_with('[');
    while name_follows || !rest.is_empty() {
        if name_follows {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            keys.push(Key::Name(rest[..end].to_owned()).some_if(end > 0)?);
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let (key, after) = bracket(after)?;
            keys.push(key);
            rest = after;
        }
        name_follows = rest.starts_with('.');
        if name_follows {
            rest = &rest[1..];
        } else if !rest.is_empty() && !rest.starts_with('[') {
            return None;
        }
    }
    matches!(keys.first(), Some(Key::Name(_))).then_some(keys)
}

impl Key {
    fn some_if(self, condition: bool) -> Option<Self> {
        condition.then_some(self)
    }
}

fn bracket(text: &str) -> Option<(Key, &str)> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let end = rest.find(quote)?;
            return Some((Key::Name(rest[..end].to_owned()), rest[end + 1..].strip_prefix(']')?));
        }
    }
    let end = text.find(']')?;
    Some((Key::Index(text[..end].parse().ok()?), &text[end + 1..]))
}

impl fmt::Display for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.0.iter().enumerate() {
            match key {
                Key::Index(index) => write!(f, "[{index}]")?,
                Key::Name(name) if is_plain(name) && position == 0 => write!(f, "{name}")?,
                Key::Name(name) if is_plain(name) => write!(f, ".{name}")?,
                Key::Name(name) if position == 0 => write!(f, "$[{}]", quoted(name))?,
                Key::Name(name) => write!(f, "[{}]", quoted(name))?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '[', ']']) && !name.starts_with('$') || name == "$input"
}

fn quoted(name: &str) -> String {
    if name.contains('\'') { format!("\"{name}\"") } else { format!("'{name}'") }
}

impl Serialize for StatePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_paths_parse_to_the_same_path() {
        for (text, shown) in [
            ("a", "a"),
            ("$.a.b[0].c", "a.b[0].c"),
            ("a['b c']", "a.b c"),
            ("$['a.b'][3]", "$['a.b'][3]"),
            ("$input", "$input"),
        ] {
            let path: StatePath = text.parse().unwrap();
            assert_eq!(path.to_string(), shown);
            assert_eq!(shown.parse(), Ok(path));
        }
    }

    #[test]
    fn invalid_paths_are_rejected() {
        for text in ["", "$.", "[0]", "a..b", "a[", "a[x]", "a]b[0]c", "a[0]b", "$[0]", "a."] {
            assert!(text.parse::<StatePath>().is_err(), "{text}");
        }
    }
}
