//! Reads individual values; errors name the expected type or values.

use std::{borrow::Cow, time::Duration};

use llmspell_workflows_basic::model::Delay;
use serde_json::Value;

use super::{Fields, Reader};
use crate::{
    diagnose::At,
    tree::{Data, Entry, Node, Span},
};

/// The expected type of flags, for messages.
pub(super) const BOOLEAN: &str = "`true` or `false`";

const INTEGER: &str = "an integer";

/// The expected type of fields that contain steps, for messages.
pub(super) const STEP_LIST: &str = "a list of steps";

/// The expected type of environment variables, for messages.
pub(super) const SCALAR: &str = "a string, a number or a boolean";

impl Reader<'_> {
    /// Reports a value of the wrong type; `expected` includes an article.
    pub(crate) fn wrong_type(&mut self, at: At, name: &str, node: &Node<'_>, expected: &str) {
        // An unquoted `{{ x }}` has already been reported.
        if is_bare_template(node)
            && !self.findings.is_crowded()
            && self.findings.iter().any(|finding| finding.span == node.span)
        {
            return;
        }
        let is_absent = matches!(node.data, Data::Null) && node.span.slice(self.source.text()).trim().is_empty();
        let noun = if is_absent { "no value" } else { node.noun() };
        let message = format!("`{name}`: expected {expected}, got {noun}");
        let finding = self.error("wrong_type", at, node.span, message);
        if is_absent {
            finding.help(format!("add the value, or remove `{name}`"));
        } else if let Some(help) = word_help(name, node, expected) {
            finding.help(help);
        } else if matches!(node.data, Data::Number(_) | Data::Bool(_) | Data::Null) && expected.starts_with("a string")
        {
            finding.help("write it in quotes if it is a string");
        } else if is_bare_template(node) {
            finding.help("put a string that starts with `{{` in quotes, such as \"{{ query }}\"");
        }
    }

    /// Returns the string in the field `name`; it must not be empty.
    pub(crate) fn text(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<String> {
        let entry = fields.get(name)?;
        let text = self.text_of(fields.at, &entry.key, &entry.value)?;
        self.mark_text(fields.at, name, entry.value.span, &text);
        Some(text)
    }

    pub(crate) fn text_of(&mut self, at: At, name: &str, node: &Node<'_>) -> Option<String> {
        self.text_or(at, name, node, "a string")
    }

    fn text_or(&mut self, at: At, name: &str, node: &Node<'_>, expected: &str) -> Option<String> {
        match node.as_text() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.error("bad_value", at, node.span, format!("`{name}` must not be empty"));
                None
            }
            None => {
                self.wrong_type(at, name, node, expected);
                None
            }
        }
    }

    /// Returns the strings in the field `name`, and records their spans under `name/0`, `name/1`, …
    ///
    /// A single string counts as a list.
    pub(crate) fn texts(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Vec<String> {
        let Some(entry) = fields.get(name) else { return Vec::new() };
        self.mark(fields.at, name, entry.value.span);
        let expected = match entry.value.data {
            Data::List(_) => "a string",
            _ => "a string or a list of strings",
        };
        self.each(fields.at, name, entry, |reader, at, node| reader.text_or(at, &entry.key, node, expected))
    }

    /// Returns the expressions in the field `name`, like [`texts`](Self::texts).
    pub(crate) fn expressions(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Vec<String> {
        let Some(entry) = fields.get(name) else { return Vec::new() };
        self.mark(fields.at, name, entry.value.span);
        self.each(fields.at, name, entry, |reader, at, node| reader.expression_of(at, &entry.key, node))
    }

    fn each(
        &mut self,
        at: At,
        name: &'static str,
        entry: &Entry<'_>,
        mut read: impl FnMut(&mut Self, At, &Node<'_>) -> Option<String>,
    ) -> Vec<String> {
        let items = match &entry.value.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let mut texts = Vec::with_capacity(items.len());
        for node in items {
            if let Some(text) = read(self, at, node) {
                self.mark_text(at, format!("{name}/{}", texts.len()), node.span, &text);
                texts.push(text);
            }
        }
        texts
    }

    /// Returns the expression in the field `name`.
    pub(crate) fn expression(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<String> {
        self.expression_as(fields, name, name)
    }

    /// Returns the expression in the field `name`, which the model calls `word`.
    pub(crate) fn expression_as(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &'static str,
        word: impl Into<Cow<'static, str>>,
    ) -> Option<String> {
        let entry = fields.get(name)?;
        let text = self.expression_of(fields.at, &entry.key, &entry.value)?;
        self.mark_text(fields.at, word, entry.value.span, &text);
        Some(text)
    }

    /// Returns an expression after removing any enclosing braces.
    pub(crate) fn expression_of(&mut self, at: At, name: &str, node: &Node<'_>) -> Option<String> {
        if let Data::Bool(value) = node.data {
            return Some(value.to_string());
        }
        let Some(text) = node.as_text() else {
            self.wrong_type(at, name, node, "an expression");
            return None;
        };
        let expression = unwrapped(text.trim());
        if expression.is_empty() {
            self.error("bad_value", at, node.span, format!("`{name}` must not be empty"));
            return None;
        }
        Some(expression.to_owned())
    }

    /// Returns the duration or expression in the field `name`.
    pub(crate) fn delay(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<Delay> {
        let entry = fields.get(name)?;
        let delay = self.delay_of(fields.at, &entry.key, &entry.value)?;
        match &delay {
            Delay::Expression(expression) => self.mark_text(fields.at, name, entry.value.span, expression),
            Delay::Fixed(_) => self.mark(fields.at, name, entry.value.span),
        }
        Some(delay)
    }

    pub(crate) fn delay_of(&mut self, at: At, name: &str, node: &Node<'_>) -> Option<Delay> {
        let is_ms = name.ends_with("_ms");
        let delay = match &node.data {
            Data::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                Delay::from_seconds(if is_ms { number / 1_000.0 } else { number }).map_err(|_| ())
            }
            Data::Text(text) => match text.parse::<Delay>() {
                Ok(Delay::Expression(expression)) if is_ms => Ok(Delay::Expression(format!("({expression}) / 1000"))),
                Ok(Delay::Expression(expression)) => Ok(Delay::Expression(expression)),
                Ok(delay) if !is_ms => Ok(delay),
                _ => Err(()),
            },
            _ => {
                self.wrong_type(at, name, node, "a duration");
                return None;
            }
        };
        delay.map_err(|()| self.bad_delay(at, name, node.span, is_ms)).ok()
    }

    fn bad_delay(&mut self, at: At, name: &str, span: Span, is_ms: bool) {
        let written = span.slice(self.source.text());
        let message = format!("`{name}`: expected a duration, got `{written}`");
        let help = if is_ms {
            "use a number of milliseconds"
        } else {
            "use a number of seconds, or a string such as `30s`, `500ms`, `1h30m` or `PT5M`"
        };
        let help = match short_duration(written).filter(|_| !is_ms) {
            Some(short) => format!("{help}; did you mean `{short}`?"),
            None => help.to_owned(),
        };
        self.error("bad_value", at, span, message).help(help);
    }

    /// Returns the duration in the field `name`, which must not be an expression.
    pub(crate) fn duration(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<Duration> {
        let entry = fields.get(name)?;
        match self.delay_of(fields.at, &entry.key, &entry.value)? {
            Delay::Fixed(duration) => Some(duration),
            Delay::Expression(_) => {
                let message = format!("`{}`: expected a constant duration, got an expression", entry.key);
                self.error("bad_value", fields.at, entry.value.span, message).help("use a duration such as `30s`");
                None
            }
        }
    }

    /// Returns the integer in the field `name`, between `min` and the maximum of `T`.
    pub(crate) fn count<T: TryFrom<u64>>(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &'static str,
        min: u64,
    ) -> Option<T> {
        let entry = fields.get(name)?;
        self.mark(fields.at, name, entry.value.span);
        self.count_of(fields.at, &entry.key, &entry.value, min)
    }

    pub(crate) fn count_of<T: TryFrom<u64>>(&mut self, at: At, name: &str, node: &Node<'_>, min: u64) -> Option<T> {
        let Data::Number(number) = &node.data else {
            self.wrong_type(at, name, node, INTEGER);
            return None;
        };
        let whole = number
            .as_u64()
            .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..1e15).contains(n)).map(|n| n as u64));
        let count = whole.filter(|n| *n >= min).and_then(|n| T::try_from(n).ok());
        if count.is_none() {
            let max = u64::MAX >> (64 - 8 * size_of::<T>());
            let message = format!("`{name}`: expected an integer from {min} to {max}, got {number}");
            self.error("bad_value", at, node.span, message);
        }
        count
    }

    pub(crate) fn boolean(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<bool> {
        let entry = fields.get(name)?;
        match entry.value.data {
            Data::Bool(value) => Some(value),
            _ => {
                self.wrong_type(fields.at, &entry.key, &entry.value, BOOLEAN);
                None
            }
        }
    }

    /// Returns the value of the word in the field `name`; the word must be one of `words`.
    pub(crate) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let entry = fields.get(name)?;
        self.mark(fields.at, name, entry.value.span);
        self.word_of(fields.at, &entry.key, &entry.value, words)
    }

    pub(crate) fn word_of<T: Copy>(&mut self, at: At, name: &str, node: &Node<'_>, words: &[(&str, T)]) -> Option<T> {
        let Some(text) = node.as_text() else {
            let expected = format!("one of {}", join(words.iter().map(|(word, _)| *word)));
            self.wrong_type(at, name, node, &expected);
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.bad_word(at, name, node.span, text, words.iter().map(|(word, _)| *word));
        }
        found
    }

    pub(crate) fn bad_word<'w>(
        &mut self,
        at: At,
        name: &str,
        span: Span,
        written: &str,
        words: impl Iterator<Item = &'w str> + Clone,
    ) {
        let help = self.suggest(written, words.clone()).unwrap_or_else(|| format!("use one of {}", join(words)));
        self.error("bad_value", at, span, format!("unknown value `{written}` for `{name}`")).help(help);
    }

    /// Returns the JSON value in the field `name`, and records the spans of all its parts under `word`.
    pub(crate) fn json(&mut self, fields: &Fields<'_, '_>, name: &str, word: &'static str) -> Option<Value> {
        let entry = fields.get(name)?;
        self.mark_all(fields.at, word.into(), &entry.value);
        Some(entry.value.to_json())
    }

    /// Records the spans of `node` and all its parts under `word`.
    pub(crate) fn mark_all(&mut self, at: At, word: Cow<'static, str>, node: &Node<'_>) {
        match &node.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.mark_all(at, format!("{word}/{index}").into(), item);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    self.mark_all(at, format!("{word}/{}", entry.key).into(), &entry.value);
                }
            }
            Data::Text(text) => return self.mark_text(at, word, node.span, text),
            _ => {}
        }
        self.mark(at, word, node.span);
    }
}

/// Returns the short form of a duration such as `5 min` or `1 day`.
fn short_duration(written: &str) -> Option<String> {
    let written = written.trim_matches(['"', '\'']).trim();
    let digits = written.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&written[..digits], written[digits..].trim().to_ascii_lowercase());
    let unit = match unit.as_str() {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    };
    let short = format!("{number}{unit}");
    matches!(short.parse(), Ok(Delay::Fixed(_))).then_some(short)
}

/// Returns a suggestion for `yes` as a boolean or for a number with a unit.
fn word_help(name: &str, node: &Node<'_>, expected: &str) -> Option<String> {
    if name == "command" && matches!(node.data, Data::List(_)) {
        return Some("use `argv` for a program and its arguments".to_owned());
    }
    let text = node.as_text()?;
    if expected == STEP_LIST && ["fail", "continue"].contains(&text) {
        return Some(format!("`{text}` is a value of a step's `on_error`; write the steps here"));
    }
    if expected == BOOLEAN {
        let value = match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "true" => true,
            "n" | "no" | "off" | "false" => false,
            _ => return None,
        };
        return Some(format!("write `{value}`; this `{text}` is a string"));
    }
    let is_amount = text.starts_with(|c: char| c.is_ascii_digit());
    (is_amount && expected == INTEGER).then(|| "write the number alone, without a unit or quotes".to_owned())
}

/// Joins words for a message: "`a`, `b`".
fn join<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Returns whether `node` is an unquoted `{{ x }}`, which YAML reads as a mapping in a mapping.
fn is_bare_template(node: &Node<'_>) -> bool {
    matches!(node.entries(), [entry] if entry.key.starts_with('{'))
}

/// Removes the braces of `{{ a > 1 }}` and `${a > 1}`, if they enclose the whole text.
fn unwrapped(text: &str) -> &str {
    for (open, close) in [("{{", "}}"), ("${", "}")] {
        let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(inner) = inner.filter(|inner| !inner.contains(open) && !inner.contains(close)) {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_around_a_whole_expression_are_removed() {
        for (text, expression) in [
            ("{{ a > 1 }}", "a > 1"),
            ("${a > 1}", "a > 1"),
            ("a > 1", "a > 1"),
            ("{{ a }} > {{ b }}", "{{ a }} > {{ b }}"),
            ("{{ a }} > 1", "{{ a }} > 1"),
        ] {
            assert_eq!(unwrapped(text), expression);
        }
    }
}
