//! Errors for missing references: what was requested, and what is available instead.

use std::ops::Range;

use serde_json::Value;

use super::error::{ErrorLocation, EvalError};
use super::evaluate::{Evaluation, Failure};
use super::functions;
use super::scope::Segment;
use super::tree::Lookup;
use super::value::type_with_article;
use crate::nearest;

/// The maximum number of names kept in an error; a scope may have many thousands.
const AVAILABLE_MAX: usize = 100;
/// The maximum number of characters of a computed key shown in an error.
const NAME_CHARS_MAX: usize = 100;

/// Builds the error for a name, or a name with its first keys, that the scope does not know.
pub(super) fn name(evaluation: &Evaluation<'_, '_>, lookup: &Lookup, keys: &[Segment<'_>]) -> Failure {
    let available = evaluation.scope.available();
    let inside = format!("{}.", lookup.name);
    let known = available.iter().any(|name| **name == *lookup.name || name.starts_with(&inside));
    if !known {
        let help = hyphen_help(evaluation, &lookup.span);
        return failure(evaluation, &lookup.span, lookup.name.to_string(), &lookup.name, available, help);
    }
    let reference = format_reference(&lookup.name, &keys[..keys.len().min(1)]);
    let available = available.into_iter().filter(|name| name.starts_with(&inside)).collect();
    failure(evaluation, &lookup.span, reference.clone(), &reference, available, None)
}

/// Builds the error for the key after the first `known` keys, which does not exist in `parent`.
pub(super) fn key(
    evaluation: &Evaluation<'_, '_>,
    lookup: &Lookup,
    keys: &[Segment<'_>],
    known: usize,
    parent: &Value,
) -> Failure {
    let reference = format_reference(&lookup.name, &keys[..=known]);
    let requested = keys[known].name().unwrap_or_default();
    let parent_name = format!("`{}`", format_reference(&lookup.name, &keys[..known]));
    let help = missing_call_help(requested)
        .or_else(|| parent_help(&parent_name, parent))
        .or_else(|| hyphen_help(evaluation, &lookup.span));
    failure(evaluation, &lookup.span, reference, requested, fields(parent), help)
}

/// Builds the error for a computed value that lacks the key at `span`.
pub(super) fn member(evaluation: &Evaluation<'_, '_>, span: &Range<usize>, parent: &Value) -> Failure {
    let written = evaluation.parsed.source[span.clone()].to_owned();
    let help = missing_call_help(&written).or_else(|| parent_help("the value", parent));
    failure(evaluation, span, written.clone(), &written, fields(parent), help)
}

fn failure(
    evaluation: &Evaluation<'_, '_>,
    span: &Range<usize>,
    reference: String,
    requested: &str,
    mut available: Vec<String>,
    help: Option<String>,
) -> Failure {
    available.sort_unstable();
    let near = nearest(requested, available.iter().map(String::as_str)).map(str::to_owned);
    if let Some(near) = &near
        && let Some(at) = available.iter().position(|name| name == near)
    {
        available[..=at].rotate_right(1);
    }
    available.truncate(AVAILABLE_MAX);
    Box::new(EvalError::Unresolved {
        at: Box::new(ErrorLocation { expression: evaluation.parsed.source.clone(), span: span.clone(), pointer: None }),
        reference,
        available,
        help: near.map(|near| format!("did you mean `{near}`?")).or(help),
    })
}

fn fields(parent: &Value) -> Vec<String> {
    parent.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// Explains why a value does not have the requested key: the value is empty or not an object.
fn parent_help(parent: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) if fields.is_empty() => Some(format!("{parent} has no fields")),
        Value::Object(_) => None,
        Value::Array(items) => Some(match items.len() {
            1 => format!("{parent} is a list of 1 element"),
            length => format!("{parent} is a list of {length} elements"),
        }),
        other => Some(format!("{parent} is {}", type_with_article(other))),
    }
}

/// Suggests calling a function that was written like a field.
fn missing_call_help(key: &str) -> Option<String> {
    let name = key.trim_start_matches(['?', '.']);
    functions::exists(name).then(|| format!("to call the function, write {name}()"))
}

/// Explains that a name with a hyphen is parsed as a subtraction.
fn hyphen_help(evaluation: &Evaluation<'_, '_>, span: &Range<usize>) -> Option<String> {
    let source = &*evaluation.parsed.source;
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let before = source[..span.start].strip_suffix('-');
    let after = source[span.end..].strip_prefix('-');
    let hyphenated =
        before.is_some_and(|rest| rest.ends_with(is_part)) || after.is_some_and(|rest| rest.starts_with(is_part));
    hyphenated.then(|| "`-` subtracts; write a name with a hyphen as ['like-this']".to_owned())
}

/// Formats a name and its keys as source.
fn format_reference(name: &str, keys: &[Segment<'_>]) -> String {
    let mut text = name.to_owned();
    for key in keys {
        match key {
            Segment::Name(name) if is_plain(name) => {
                text.push('.');
                text.push_str(name);
            }
            Segment::Name(name) => {
                let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
                let cut = if shown.len() < name.len() { "…" } else { "" };
                text.push_str(&format!("['{}{cut}']", shown.escape_debug()));
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn is_plain(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && !name.starts_with(|c: char| c.is_numeric())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}
