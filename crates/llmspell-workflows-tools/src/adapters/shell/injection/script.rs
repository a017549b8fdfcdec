//! Texts interpreted by a program, with the values inserted into them.

use std::ops::Range;

use llmspell_workflows_basic::expr::{Expr, Key, Template, TemplatePart};
use serde_json::Value;

/// A text interpreted by a program.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) tokens: Vec<Token>,
    pub(super) holes: Vec<Hole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    /// The value of the hole with this index.
    Hole(usize),
}

/// A place in a text where a value from outside the definition is inserted.
#[derive(Debug)]
pub(super) struct Hole {
    /// The JSON pointer of the text.
    pub(super) pointer: String,
    /// The byte range of the expression in the text.
    pub(super) span: Range<usize>,
    /// The byte range of the expression with its braces.
    pub(super) braces: Range<usize>,
    pub(super) expression: Expr,
}

impl Script {
    pub(super) fn of(pointer: &str, text: &str) -> Self {
        let mut script = Self::default();
        script.add(pointer, text);
        script
    }

    /// Adds the text at `pointer`. An expression that reads no names is replaced by its value, and
    /// an expression that only counts iterations is replaced by a number.
    pub(super) fn add(&mut self, pointer: &str, text: &str) {
        // A syntax error is reported together with the errors in all other templates.
        let Ok(template) = Template::parse_text(text) else { return };
        for part in template.parts() {
            match part {
                TemplatePart::Plain(plain) => self.plain(plain),
                TemplatePart::Expression { expression, offset } => match expression.constant() {
                    Some(Ok(Value::Null)) => {}
                    Some(Ok(Value::String(constant))) => self.plain(&constant),
                    Some(Ok(constant)) => self.plain(&constant.to_string()),
                    None if expression.is_counter() => self.plain("0"),
                    Some(Err(_)) | None => self.hole(pointer, text, expression, offset),
                },
            }
        }
    }

    fn plain(&mut self, text: &str) {
        self.tokens.extend(text.chars().map(Token::Char));
    }

    fn hole(&mut self, pointer: &str, text: &str, expression: &Expr, offset: usize) {
        let span = offset..offset + expression.source().len();
        let start = text[..span.start].trim_end().len().saturating_sub(2);
        let closing = if text[start..].starts_with("${") { "}" } else { "}}" };
        let after = text[span.end..].find(closing).map_or(text.len(), |length| span.end + length + closing.len());
        self.tokens.push(Token::Hole(self.holes.len()));
        let pointer = pointer.to_owned();
        self.holes.push(Hole { pointer, span, braces: start..after, expression: expression.clone() });
    }
}

impl Hole {
    /// Returns how many times the value is quoted for a shell.
    pub(super) fn quotes(&self) -> usize {
        self.expression.last_calls().iter().take_while(|name| **name == "shell_quote").count()
    }

    /// Returns the value's source without its quoting filters, if they can be removed.
    pub(super) fn bare(&self) -> Option<&str> {
        let mut source = self.expression.source();
        for _ in 0..self.quotes() {
            source = source.strip_suffix("shell_quote")?.trim_end().strip_suffix('|')?.trim_end();
        }
        Some(source)
    }

    /// Returns the last name of the value's first reference, such as `item` for `loop.item`.
    pub(super) fn name(&self) -> &str {
        let Some(reference) = self.expression.references().first() else { return "value" };
        let names = reference.keys.iter().rev().find_map(|key| match key {
            Key::Name(name) => Some(name.as_str()),
            Key::Index(_) => None,
        });
        names.unwrap_or(&reference.name)
    }
}
