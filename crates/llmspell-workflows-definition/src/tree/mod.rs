//! The syntax tree of a document, with the source span of every node.

mod layout_errors;
mod parse;
mod quote_errors;
mod scalar;
mod shallow;
mod syntax;

use std::borrow::Cow;

use serde_json::{Number, Value};

pub(crate) use parse::{Parsed, options, parse};
pub(crate) use scalar::is_plain_text;
pub(crate) use syntax::scan_error;

/// A byte range in the source, excluding `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn slice(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node<'s> {
    pub(crate) data: Data<'s>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Data<'s> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'s, str>),
    List(Vec<Node<'s>>),
    Map(Vec<Entry<'s>>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry<'s> {
    pub(crate) key: Cow<'s, str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node<'s>,
}

impl<'s> Node<'s> {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the entries of a mapping; empty if the node is not a mapping.
    pub(crate) fn entries(&self) -> &[Entry<'s>] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the value of `key` in a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'s>> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the type with its article, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.as_ref().to_owned()),
            Data::List(items) => items.iter().map(Node::to_json).collect(),
            Data::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.as_ref().to_owned(), e.value.to_json())).collect())
            }
        }
    }
}
