//! Templates: JSON values with expressions in their strings.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::{EvalError, Fault, ParseError};
use super::expression::{Expr, Reference};
use super::functions::plain_text;
use super::inspect::TemplatePart;
use super::limits::{Budget, VALUE_DEPTH_MAX};
use super::scope::Scope;
use super::template_text::{Piece, TemplateError, TemplateErrors, pieces};

/// A JSON value whose strings may contain `{{ expression }}` or `${ expression }`, which are equivalent.
///
/// A string that consists of a single expression becomes the expression's value, with its type. In any
/// other string, values are inserted as text: strings as they are, nothing for null, and JSON for
/// anything else. A missing reference is an error unless it has a default: `${x || 'none'}`,
/// `{{ x | default('') }}`, `{{ x?.y }}`.
///
/// `\{{` and `\${` are the literal characters (and `\\{{` is a backslash followed by an
/// expression). The shell's `$HOME` and `$(date)` are left unchanged, but `${HOME}` is an
/// expression. Field names are not templates.
///
/// ```
/// use llmspell_workflows_basic::expr::Template;
/// use serde_json::json;
///
/// let template = Template::parse(&json!({"count": "{{ items.length }}", "note": "for ${name}"}))?;
/// let scope = json!({"items": [1, 2], "name": "Ada"});
/// assert_eq!(*template.render(&scope)?, json!({"count": 2, "note": "for Ada"}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Template {
    source: Arc<Value>,
    root: Arc<Part>,
}

/// A reference in a template, with its location.
#[derive(Debug, Clone, Copy)]
pub struct TemplateReference<'a> {
    /// The JSON pointer to the string; empty for the whole value.
    pub pointer: &'a str,
    /// The byte offset of the expression in the string; the reference's span is relative to it.
    pub offset: usize,
    /// The expression.
    pub expression: &'a Expr,
    /// The reference.
    pub reference: &'a Reference,
}

pub(super) enum Part {
    Static(Arc<Value>),
    /// A string that consists of a single expression.
    Whole(Hole),
    Text(Vec<TextPart>),
    Array(Vec<Part>),
    Object(Vec<(String, Part)>),
}

pub(super) enum TextPart {
    Plain(String),
    Hole(Hole),
}

pub(super) struct Hole {
    expression: Expr,
    pointer: Arc<str>,
    offset: usize,
}

impl Template {
    /// Parses all expressions in a value.
    ///
    /// # Errors
    ///
    /// Returns all errors, each with its location.
    pub fn parse(value: &Value) -> Result<Self, TemplateErrors> {
        let source = Arc::new(value.clone());
        if !Self::may_be_dynamic(value) {
            return Ok(Self { root: Arc::new(Part::Static(source.clone())), source });
        }
        let mut parser = Parser::default();
        let root = parser.part(value, VALUE_DEPTH_MAX);
        if !parser.errors.is_empty() {
            return Err(TemplateErrors(parser.errors));
        }
        Ok(Self { source, root: Arc::new(root) })
    }

    /// Returns whether `value` may contain an expression; this is faster than parsing it.
    #[must_use]
    pub fn may_be_dynamic(value: &Value) -> bool {
        !is_plain(value, VALUE_DEPTH_MAX)
    }

    /// Parses the expressions in a string.
    ///
    /// # Errors
    ///
    /// Returns all errors.
    pub fn parse_text(text: &str) -> Result<Self, TemplateErrors> {
        Self::parse(&Value::from(text))
    }

    /// Returns the original value.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Returns whether the template contains no expressions and therefore always renders to the same value.
    pub fn is_static(&self) -> bool {
        self.root.is_static()
    }

    /// Returns the references in all expressions, in order of appearance.
    pub fn references(&self) -> Vec<TemplateReference<'_>> {
        let mut references = Vec::new();
        self.root.collect(&mut references);
        references
    }

    /// Renders the value with every expression replaced.
    ///
    /// A static template returns the same shared value each time, at no cost.
    ///
    /// # Errors
    ///
    /// Returns the first [`EvalError`], with the pointer to its string.
    pub fn render(&self, scope: &dyn Scope) -> Result<Arc<Value>, EvalError> {
        match &*self.root {
            Part::Static(value) => Ok(Arc::clone(value)),
            part => part.render(scope, &mut Budget::for_rendering()).map(Arc::new),
        }
    }
}

impl Template {
    /// Returns the expression if the template consists of a single expression.
    pub(crate) fn whole_expression(&self) -> Option<&Expr> {
        match &*self.root {
            Part::Whole(hole) => Some(&hole.expression),
            _ => None,
        }
    }

    pub(super) fn root(&self) -> &Part {
        &self.root
    }

    /// Returns the value of a static template.
    pub(crate) fn fixed(&self) -> Option<&Value> {
        match &*self.root {
            Part::Static(value) => Some(value),
            _ => None,
        }
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::parse(&value).map_err(serde::de::Error::custom)
    }
}

/// Returns whether no string in `value` can contain an expression, so that no parsing is necessary.
fn is_plain(value: &Value, depth_left: usize) -> bool {
    match value {
        Value::String(text) => !text.contains('{'),
        Value::Array(items) => depth_left > 0 && items.iter().all(|item| is_plain(item, depth_left - 1)),
        Value::Object(fields) => depth_left > 0 && fields.values().all(|field| is_plain(field, depth_left - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[derive(Default)]
struct Parser {
    pointer: String,
    errors: Vec<TemplateError>,
}

impl Parser {
    fn part(&mut self, value: &Value, depth_left: usize) -> Part {
        let is_nested = matches!(value, Value::Array(_) | Value::Object(_));
        if is_nested && depth_left == 0 {
            let message = format!("the value is nested more than {VALUE_DEPTH_MAX} levels deep");
            self.error(0, ParseError::new(message, 0..0));
            return Part::Static(Arc::new(Value::Null));
        }
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let parts: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.within(&at.to_string(), item, depth_left - 1))
                    .collect();
                merged_array(parts)
            }
            Value::Object(fields) => {
                let parts: Vec<_> = fields
                    .iter()
                    .map(|(name, field)| {
                        let token = name.replace('~', "~0").replace('/', "~1");
                        (name.clone(), self.within(&token, field, depth_left - 1))
                    })
                    .collect();
                merged_object(parts)
            }
            scalar => Part::Static(Arc::new(scalar.clone())),
        }
    }

    fn within(&mut self, token: &str, value: &Value, depth_left: usize) -> Part {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(token);
        let part = self.part(value, depth_left);
        self.pointer.truncate(length);
        part
    }

    fn error(&mut self, offset: usize, error: ParseError) {
        self.errors.push(TemplateError { pointer: self.pointer.clone(), offset, error });
    }

    fn text(&mut self, text: &str) -> Part {
        let mut errors = Vec::new();
        let mut pieces = pieces(text, &mut errors);
        for (offset, error) in errors {
            self.error(offset, error);
        }
        match pieces.as_mut_slice() {
            [] => return Part::Static(Arc::new(Value::from(""))),
            [Piece::Plain(plain)] => {
                return Part::Static(Arc::new(Value::String(std::mem::take(plain))));
            }
            _ => {}
        }
        let pointer: Arc<str> = self.pointer.as_str().into();
        let mut parts: Vec<_> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Plain(plain) => TextPart::Plain(plain),
                Piece::Expression(expression, offset) => {
                    TextPart::Hole(Hole { expression, pointer: Arc::clone(&pointer), offset })
                }
            })
            .collect();
        match parts.pop() {
            Some(TextPart::Hole(hole)) if parts.is_empty() => Part::Whole(hole),
            last => {
                parts.extend(last);
                Part::Text(parts)
            }
        }
    }
}

/// Builds a list; a list without expressions becomes static, so that it is created only once.
fn merged_array(parts: Vec<Part>) -> Part {
    if !parts.iter().all(Part::is_static) {
        return Part::Array(parts);
    }
    let values = parts.into_iter().filter_map(Part::into_static).collect();
    Part::Static(Arc::new(Value::Array(values)))
}

/// Builds an object; an object without expressions becomes static, so that it is created only once.
fn merged_object(parts: Vec<(String, Part)>) -> Part {
    if !parts.iter().all(|(_, part)| part.is_static()) {
        return Part::Object(parts);
    }
    let values = parts.into_iter().filter_map(|(name, part)| Some((name, part.into_static()?))).collect();
    Part::Static(Arc::new(Value::Object(values)))
}

impl Part {
    fn is_static(&self) -> bool {
        matches!(self, Self::Static(_))
    }

    fn into_static(self) -> Option<Value> {
        match self {
            Self::Static(value) => Some(Arc::unwrap_or_clone(value)),
            _ => None,
        }
    }

    fn collect<'a>(&'a self, references: &mut Vec<TemplateReference<'a>>) {
        match self {
            Self::Static(_) => {}
            Self::Whole(hole) => hole.collect(references),
            Self::Text(parts) => {
                for part in parts {
                    if let TextPart::Hole(hole) = part {
                        hole.collect(references);
                    }
                }
            }
            Self::Array(parts) => parts.iter().for_each(|part| part.collect(references)),
            Self::Object(parts) => parts.iter().for_each(|(_, part)| part.collect(references)),
        }
    }

    fn render(&self, scope: &dyn Scope, budget: &mut Budget) -> Result<Value, EvalError> {
        match self {
            Self::Static(value) => Ok((**value).clone()),
            Self::Whole(hole) => hole.value(scope, budget),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        TextPart::Plain(plain) => text.push_str(plain),
                        TextPart::Hole(hole) => hole.write(&mut text, scope, budget)?,
                    }
                }
                Ok(Value::String(text))
            }
            Self::Array(parts) => parts.iter().map(|part| part.render(scope, budget)).collect(),
            Self::Object(parts) => {
                parts.iter().map(|(name, part)| Ok((name.clone(), part.render(scope, budget)?))).collect()
            }
        }
    }
}

impl Hole {
    pub(super) fn part(&self) -> TemplatePart<'_> {
        TemplatePart::Expression { expression: &self.expression, offset: self.offset }
    }

    fn collect<'a>(&'a self, references: &mut Vec<TemplateReference<'a>>) {
        references.extend(self.expression.references().iter().map(|reference| TemplateReference {
            pointer: &self.pointer,
            offset: self.offset,
            expression: &self.expression,
            reference,
        }));
    }

    fn value(&self, scope: &dyn Scope, budget: &mut Budget) -> Result<Value, EvalError> {
        let value = self.expression.evaluate_strict(scope).map_err(|error| error.within(&self.pointer))?;
        let charged = match &value {
            Cow::Borrowed(existing) => budget.pass_on(existing),
            Cow::Owned(new) => budget.copy(new),
        };
        charged.map_err(|fault| self.failure(fault))?;
        Ok(value.into_owned())
    }

    fn write(&self, text: &mut String, scope: &dyn Scope, budget: &mut Budget) -> Result<(), EvalError> {
        let value = self.expression.evaluate_strict(scope).map_err(|error| error.within(&self.pointer))?;
        let written = plain_text(&value, budget).map_err(|fault| self.failure(fault))?;
        budget.produce(written.len()).map_err(|fault| self.failure(fault))?;
        text.push_str(&written);
        Ok(())
    }

    fn failure(&self, fault: Fault) -> EvalError {
        let source = self.expression.source();
        EvalError::new(fault, &source.into(), 0..source.len()).within(&self.pointer)
    }
}
