//! Scopes: the values of names in an expression.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// A key in a reference: `.name`, `['name']`, `[0]`, or the value of a computed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A field.
    Name(Cow<'a, str>),
    /// An element; a negative index counts from the end.
    Index(i64),
}

impl Segment<'_> {
    /// Returns the name, if the key is a name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Index(_) => None,
        }
    }
}

/// The values of the names in an expression.
///
/// A scope returns borrowed values where it can. It may resolve keys in addition to names. For
/// example, a scope that stores step outputs separately resolves all of `steps.fetch.output`, and
/// reports that it used two keys.
pub trait Scope {
    /// Finds the value of `name`, followed by as many of `keys` as the scope resolves itself.
    ///
    /// Returns the value and the number of keys used; the other keys are looked up in the value. Returns
    /// `None` if the name, or the name with its first keys, is unknown.
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)>;

    /// Returns the available names, for messages.
    ///
    /// A name may be followed by keys: `steps.fetch`.
    fn available(&self) -> Vec<String>;
}

/// Resolves the fields of an object as names.
impl Scope for Map<String, Value> {
    fn find<'s>(&'s self, name: &str, _keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        self.get(name).map(|value| (Cow::Borrowed(value), 0))
    }

    fn available(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Resolves the fields of an object as names; any other value has no names.
impl Scope for Value {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        self.as_object()?.find(name, keys)
    }

    fn available(&self) -> Vec<String> {
        self.as_object().map(Scope::available).unwrap_or_default()
    }
}
