//! An expression, parsed once.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::{EvalError, ParseError};
use super::evaluate::evaluate;
use super::held::is_true;
use super::parse::parse;
use super::scope::Scope;
use super::tree::Node;

/// An expression, parsed once and evaluated as often as needed.
///
/// Cloning it costs a reference count. Two are equal if their sources are; it serializes as its
/// source.
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

/// What an expression is made of.
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
    /// The keys after it, up to the first one that is computed.
    pub keys: Vec<Key>,
    /// Where the name and all its keys are, in bytes of the source.
    pub span: Range<usize>,
    /// Whether null is fine where nothing is found: on the left of `||` and `??`, before a
    /// `default`, with `?.`.
    pub optional: bool,
}

/// A key that is written out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A field.
    Name(String),
    /// An element; negative ones count from the end.
    Index(i64),
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// [`ParseError`] says where the source is wrong and what would be right.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let (root, references) = parse(source)?;
        Ok(Self(Arc::new(Parsed { source: source.into(), root, references })))
    }

    /// The source as it was parsed.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The names that the expression refers to, in the order they are written.
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The value, where a missing property or an unknown name is null: what conditions want.
    ///
    /// # Errors
    ///
    /// [`EvalError::Type`], [`EvalError::Arithmetic`] and [`EvalError::Limit`].
    pub fn evaluate<'s>(&self, scope: &'s dyn Scope) -> Result<Cow<'s, Value>, EvalError> {
        self.run(scope, false)
    }

    /// The value, where a reference that finds nothing is an error unless it has a default: what
    /// templates want.
    ///
    /// # Errors
    ///
    /// Those of [`evaluate`](Self::evaluate), and [`EvalError::Unresolved`].
    pub fn evaluate_strict<'s>(&self, scope: &'s dyn Scope) -> Result<Cow<'s, Value>, EvalError> {
        self.run(scope, true)
    }

    /// Whether the value is true as in JavaScript: null, false, zero and empty text are not.
    ///
    /// # Errors
    ///
    /// Those of [`evaluate`](Self::evaluate).
    pub fn test(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        evaluate(&self.0, scope, false).map(|value| is_true(&value)).map_err(|error| *error)
    }

    fn run<'s>(&self, scope: &'s dyn Scope, strict: bool) -> Result<Cow<'s, Value>, EvalError> {
        evaluate(&self.0, scope, strict).map(super::held::Held::into_cow).map_err(|error| *error)
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

/// The source.
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
