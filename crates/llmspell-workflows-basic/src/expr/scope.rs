//! What names mean where an expression is evaluated.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// One key of a reference: `.name`, `['name']`, `[0]`, or what a computed key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A field.
    Name(Cow<'a, str>),
    /// An element; negative ones count from the end.
    Index(i64),
}

impl Segment<'_> {
    /// The name, if this is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Index(_) => None,
        }
    }
}

/// What names mean where an expression is evaluated.
///
/// A scope answers with values it holds, which are not copied. It may know more than single names:
/// one that keeps the outputs of steps apart finds `steps` followed by `fetch` and `output`, and says
/// that it used two keys.
pub trait Scope {
    /// Finds what `name` and the longest run of `keys` that the scope knows itself stand for.
    ///
    /// Returns the value and how many keys were used; the rest is looked up in the value. `None` says
    /// that the name, or the name with its first keys, is not known.
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)>;

    /// The names that can be used here, for messages.
    ///
    /// A name may be followed by keys: `steps.fetch`.
    fn available(&self) -> Vec<String>;
}

/// The fields of an object are names.
impl Scope for Map<String, Value> {
    fn find<'s>(&'s self, name: &str, _keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        self.get(name).map(|value| (Cow::Borrowed(value), 0))
    }

    fn available(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// The fields of an object are names; any other value has none.
impl Scope for Value {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        self.as_object()?.find(name, keys)
    }

    fn available(&self) -> Vec<String> {
        self.as_object().map(Scope::available).unwrap_or_default()
    }
}
