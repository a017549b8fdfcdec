//! Parsed expressions: [`Expr`].

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::{EvalError, ParseError};
use super::evaluate::{evaluate, evaluate_items};
use super::parse::parse;
use super::scope::{Scope, Segment};
use super::tree::{Call, Keys, Node, StepKind};
use super::value::is_true;

/// A parsed expression, which can be evaluated any number of times.
///
/// Cloning increments a reference count. Expressions are equal if their sources are equal. An expression
/// serializes as its source.
///
/// ```
/// use llmspell_workflows_basic::expr::Expr;
/// use serde_json::json;
///
/// let expression = Expr::parse("user.name | upper")?;
/// assert_eq!(expression.references()[0].name, "user");
///
/// let scope = json!({"user": {"name": "ada"}});
/// assert_eq!(*expression.evaluate(&scope)?, json!("ADA"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Expr(Arc<Parsed>);

/// The content of a parsed expression.
pub(super) struct Parsed {
    pub(super) source: Arc<str>,
    pub(super) root: Node,
    references: Vec<Reference>,
}

/// A name in an expression, and the keys after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The first name.
    pub name: String,
    /// The keys after the name, up to the first computed key.
    pub keys: Vec<Key>,
    /// Whether a computed key follows.
    pub has_computed_key: bool,
    /// The byte range of the name and all its keys in the source.
    pub span: Range<usize>,
    /// Whether a missing value is null instead of an error, as on the left of `||` and `??`, before
    /// a `default`, and with `?.`.
    pub optional: bool,
}

/// A literal key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A field.
    Name(String),
    /// An element; a negative index counts from the end.
    Index(i64),
}

impl Expr {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// Returns a [`ParseError`] with the location of the error and how to fix it.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let (root, references) = parse(source)?;
        Ok(Self(Arc::new(Parsed { source: source.into(), root, references })))
    }

    pub(super) fn root(&self) -> &Node {
        &self.0.root
    }

    /// Returns the original source.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Returns the references in the expression, in source order.
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Evaluates the expression as a condition, in which a missing field or an unknown name is
    /// null.
    ///
    /// # Errors
    ///
    /// Returns [`EvalError::Type`], [`EvalError::Arithmetic`] or [`EvalError::Limit`].
    pub fn evaluate<'s>(&self, scope: &'s dyn Scope) -> Result<Cow<'s, Value>, EvalError> {
        self.run(scope, false)
    }

    /// Evaluates the expression as part of a template, in which a missing reference is an error
    /// unless it has a default.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`evaluate`](Self::evaluate), or [`EvalError::Unresolved`].
    pub fn evaluate_strict<'s>(&self, scope: &'s dyn Scope) -> Result<Cow<'s, Value>, EvalError> {
        self.run(scope, true)
    }

    /// Returns whether the value is truthy, as in JavaScript: null, false, zero and the empty
    /// string are not.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`evaluate`](Self::evaluate).
    pub fn test(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        evaluate(&self.0, scope, false).map(|value| is_true(&value)).map_err(|error| *error)
    }

    /// Returns whether the expression is `state.KEY.concat(…)`, which appends to the list under
    /// `key` in the state.
    pub(crate) fn extends_state(&self, key: &str) -> bool {
        self.extension().is_some_and(|(extended, _)| extended == key)
    }

    /// Returns the items added by an expression that [extends the state](Self::extends_state),
    /// without reading the list; returns no items for any other expression.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`evaluate_strict`](Self::evaluate_strict).
    pub(crate) fn added_items(&self, scope: &dyn Scope) -> Result<Vec<Value>, EvalError> {
        let Some((_, call)) = self.extension() else { return Ok(Vec::new()) };
        evaluate_items(&self.0, call, scope).map_err(|error| *error)
    }

    fn extension(&self) -> Option<(&str, &Call)> {
        let Node::Access(access) = &self.0.root else { return None };
        let (Node::Lookup(lookup), [step]) = (&access.base, &*access.steps) else { return None };
        let (Keys::Static(keys), StepKind::Call(call)) = (&lookup.keys, &step.kind) else { return None };
        let is_plain = &*lookup.name == "state" && call.function.names.contains(&"concat");
        match keys.as_slice() {
            [Segment::Name(key)] if is_plain && !step.optional && !lookup.optional => Some((key, call)),
            _ => None,
        }
    }

    fn run<'s>(&self, scope: &'s dyn Scope, strict: bool) -> Result<Cow<'s, Value>, EvalError> {
        evaluate(&self.0, scope, strict).map(super::value::ExprValue::into_cow).map_err(|error| *error)
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source().hash(state);
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source()).finish()
    }
}

/// Writes the source.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl FromStr for Expr {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Self, ParseError> {
        Self::parse(source)
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&source).map_err(serde::de::Error::custom)
    }
}
