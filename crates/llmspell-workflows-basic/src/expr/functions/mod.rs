//! The functions of the language: one table, with three call syntaxes.
//!
//! `f(x, a)`, `x.f(a)` and `x | f(a)` are the same call; the value before the dot or the pipe is the
//! first argument. Each entry documents a function's parameters and result, with an example that a
//! test evaluates and `docs/expressions.md` shows.

mod arguments;
mod lists;
mod numbers;
mod quoting;
mod text;
mod values;
mod write;

pub(super) use arguments::Arguments;
pub(super) use lists::append_all;
pub use quoting::url_encoded;
pub(super) use write::plain_text;

use super::error::{Fault, ParseError};
use super::foreign;
use super::limits::Budget;
use super::tree::Span;
use super::value::ExprValue;
use crate::nearest;

/// Computes the result of a function from its arguments.
pub(super) type FunctionBody = for<'e, 's> fn(&mut Arguments<'e, 's>, &mut Budget) -> Result<ExprValue<'e, 's>, Fault>;

/// An entry in the table.
#[derive(Debug)]
pub(super) struct Function {
    /// The name and its aliases.
    pub(super) names: &'static [&'static str],
    /// `name`, `name?` if it is optional, `name...` for any number of arguments.
    pub(super) parameters: &'static [&'static str],
    /// What the function returns.
    pub(super) returns: &'static str,
    /// An expression, and its value as JSON.
    pub(super) example: (&'static str, &'static str),
    pub(super) kind: FunctionKind,
}

/// How a function is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) enum FunctionKind {
    /// Computes a result from its arguments.
    Call(FunctionBody),
    /// A default: `x | default(y)` is `x ?? y`.
    Coalesce,
    /// A key: `x.get('k')` is `x['k']`.
    Get,
    /// Whether a key exists.
    Has,
}

const TABLES: &[&[Function]] =
    &[text::FUNCTIONS, quoting::FUNCTIONS, lists::FUNCTIONS, numbers::FUNCTIONS, values::FUNCTIONS];

/// The documentation of a function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionDoc {
    /// The name and its aliases.
    pub names: &'static [&'static str],
    /// `name`, `name?` if it is optional, `name...` for any number of arguments.
    pub parameters: &'static [&'static str],
    /// What the function returns.
    pub returns: &'static str,
    /// An expression that uses the function.
    pub example: &'static str,
    /// The example's value as JSON.
    pub result: &'static str,
}

/// Returns the functions of the language, in the order of the reference.
pub fn function_docs() -> impl Iterator<Item = FunctionDoc> {
    all().map(|function| FunctionDoc {
        names: function.names,
        parameters: function.parameters,
        returns: function.returns,
        example: function.example.0,
        result: function.example.1,
    })
}

fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// Returns whether a function exists.
pub(super) fn exists(name: &str) -> bool {
    all().any(|function| function.names.contains(&name))
}

/// Returns the function called `name`.
pub(super) fn named(name: &str, span: &Span) -> Result<&'static Function, ParseError> {
    if let Some(function) = all().find(|function| function.names.contains(&name)) {
        return Ok(function);
    }
    let error = ParseError::new(format!("unknown function `{name}`"), span.clone());
    let names = all().flat_map(|function| function.names.iter().copied());
    Err(match (foreign::function(name), nearest(name, names)) {
        (Some(instead), _) => error.help(instead),
        (None, Some(near)) => error.help(format!("did you mean `{near}`?")),
        (None, None) => error,
    })
}

impl Function {
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Checks the number of arguments, including the value before a dot or a pipe.
    pub(super) fn check_count(&self, count: usize, span: &Span) -> Result<(), ParseError> {
        let is_variadic = |parameter: &&str| parameter.ends_with("...");
        let least = self.parameters.iter().filter(|parameter| !parameter.ends_with(['?', '.'])).count();
        let most = self.parameters.len();
        if count >= least && (count <= most || self.parameters.last().is_some_and(is_variadic)) {
            return Ok(());
        }
        let signature = format!("{}({})", self.name(), self.parameters.join(", "));
        let message = match count {
            1 => format!("`{signature}` does not take 1 argument"),
            _ => format!("`{signature}` does not take {count} arguments"),
        };
        Err(ParseError::new(message, span.clone()).help("the value before a dot or a pipe is the first argument"))
    }
}
