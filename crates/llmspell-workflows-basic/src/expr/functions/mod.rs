//! The functions of the language: one table, called in three ways.
//!
//! `f(x, a)`, `x.f(a)` and `x | f(a)` are the same call; the value before the dot or the pipe is the
//! first argument. Each function says in its entry what it takes, what it gives, and an example that
//! a test evaluates and `docs/expressions.md` shows.

mod arguments;
mod lists;
mod numbers;
mod text;
mod values;
mod write;

pub(super) use arguments::Arguments;
pub(super) use write::plain_text;

use super::error::{Fault, ParseError};
use super::held::Held;
use super::limits::Budget;
use super::refused;
use super::tree::Span;
use crate::nearest;

/// What a function computes from its arguments.
pub(super) type Body = for<'e, 's> fn(&mut Arguments<'e, 's>, &mut Budget) -> Result<Held<'e, 's>, Fault>;

/// An entry of the table.
#[derive(Debug)]
pub(super) struct Function {
    /// The name, and others for the same.
    pub(super) names: &'static [&'static str],
    /// `name`, `name?` where it may be left out, `name...` for any number.
    pub(super) parameters: &'static [&'static str],
    /// What it gives.
    pub(super) gives: &'static str,
    /// An expression, and the JSON of its value.
    pub(super) example: (&'static str, &'static str),
    pub(super) run: Run,
}

/// How a function is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// On its arguments.
    Call(Body),
    /// As a default: `x | default(y)` is `x ?? y`.
    Coalesce,
    /// As a key: `x.get('k')` is `x['k']`.
    Get,
    /// As a key of which only the existence is asked.
    Has,
}

const TABLES: &[&[Function]] = &[text::FUNCTIONS, lists::FUNCTIONS, numbers::FUNCTIONS, values::FUNCTIONS];

/// What the reference says about a function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionDoc {
    /// Its name, and others for the same.
    pub names: &'static [&'static str],
    /// `name`, `name?` where it may be left out, `name...` for any number.
    pub parameters: &'static [&'static str],
    /// What it gives.
    pub gives: &'static str,
    /// An expression that uses it.
    pub example: &'static str,
    /// The JSON of the example's value.
    pub result: &'static str,
}

/// The functions of the language, in the order of the reference.
pub fn function_docs() -> impl Iterator<Item = FunctionDoc> {
    all().map(|function| FunctionDoc {
        names: function.names,
        parameters: function.parameters,
        gives: function.gives,
        example: function.example.0,
        result: function.example.1,
    })
}

fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// Whether there is a function of a name.
pub(super) fn exists(name: &str) -> bool {
    all().any(|function| function.names.contains(&name))
}

/// The function of a name.
pub(super) fn named(name: &str, span: &Span) -> Result<&'static Function, ParseError> {
    if let Some(function) = all().find(|function| function.names.contains(&name)) {
        return Ok(function);
    }
    let error = ParseError::new(format!("there is no function `{name}`"), span.clone());
    let names = all().flat_map(|function| function.names.iter().copied());
    Err(match (refused::function(name), nearest(name, names)) {
        (Some(instead), _) => error.help(instead),
        (None, Some(near)) => error.help(format!("did you mean `{near}`?")),
        (None, None) => error,
    })
}

impl Function {
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Checks the number of arguments, the value before a dot or a pipe included.
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
