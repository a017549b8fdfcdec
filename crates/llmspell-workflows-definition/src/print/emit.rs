//! Writes values in block style.

use std::fmt::Write;

use serde_json::Value;

use super::{Yaml, YamlMap};
use crate::{limits, tree::is_plain_text};

/// The indentation of an inner block in columns.
const INDENT: usize = 2;

pub(super) fn document(fields: &YamlMap) -> String {
    let mut out = String::new();
    mapping(&mut out, fields.0.iter().map(|(key, value)| (key.as_str(), Item::Yaml(value))), 0, false);
    out
}

/// Writes a value on its own, outside any mapping or list.
pub(super) fn value_alone(json: &Value) -> String {
    let mut out = String::new();
    value(&mut out, Item::Json(json), 0, false);
    // There is no key, so the separator that follows a key is superfluous.
    out.trim_start_matches([' ', '\n']).to_owned()
}

#[derive(Clone, Copy)]
enum Item<'v> {
    Yaml(&'v Yaml),
    Json(&'v Value),
}

/// Writes a value after `key:` or `-`; a block starts on the next line, or after a dash on the same line.
fn value(out: &mut String, item: Item<'_>, indent: usize, after_dash: bool) {
    match item {
        Item::Yaml(Yaml::Value(json)) => value(out, Item::Json(json), indent, after_dash),
        Item::Yaml(Yaml::List(items)) => list(out, items.iter().map(Item::Yaml), indent, after_dash),
        Item::Json(Value::Array(items)) => list(out, items.iter().map(Item::Json), indent, after_dash),
        Item::Yaml(Yaml::Map(fields)) => {
            mapping(out, fields.0.iter().map(|(key, value)| (key.as_str(), Item::Yaml(value))), indent, after_dash);
        }
        Item::Json(Value::Object(map)) => {
            mapping(out, map.iter().map(|(key, value)| (key.as_str(), Item::Json(value))), indent, after_dash);
        }
        Item::Json(Value::String(text)) => {
            out.push(' ');
            scalar(out, text, indent);
            out.push('\n');
        }
        Item::Json(other) => writeln!(out, " {other}").expect("writing to a String cannot fail"),
    }
}

fn list<'v>(out: &mut String, items: impl ExactSizeIterator<Item = Item<'v>>, indent: usize, after_dash: bool) {
    if items.len() == 0 {
        return out.push_str(" []\n");
    }
    let mut is_first = after_dash;
    out.push_str(if after_dash { " " } else { "\n" });
    for item in items {
        if !std::mem::take(&mut is_first) {
            pad(out, indent);
        }
        out.push('-');
        value(out, item, indent + INDENT, true);
    }
}

fn mapping<'v>(
    out: &mut String,
    entries: impl ExactSizeIterator<Item = (&'v str, Item<'v>)>,
    indent: usize,
    after_dash: bool,
) {
    if entries.len() == 0 {
        return out.push_str(if out.is_empty() { "{}\n" } else { " {}\n" });
    }
    let mut is_first = after_dash;
    if !out.is_empty() {
        out.push_str(if after_dash { " " } else { "\n" });
    }
    for (key, item) in entries {
        if !std::mem::take(&mut is_first) {
            pad(out, indent);
        }
        let is_long = key.chars().count() * 4 > limits::KEY_CHARS;
        if is_long {
            out.push_str("? ");
        }
        if is_plain(key) {
            out.push_str(key)
        } else {
            quoted(out, key)
        }
        if is_long {
            out.push('\n');
            pad(out, indent);
        }
        out.push(':');
        value(out, item, indent + INDENT, false);
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(out: &mut String, text: &str, indent: usize) {
    if is_plain(text) {
        out.push_str(text);
    } else if is_block(text) {
        out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(out, indent);
                out.push_str(line);
            }
        }
    } else {
        quoted(out, text);
    }
}

/// Returns whether `text` needs no quotes, even for YAML 1.1 parsers.
fn is_plain(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '$'));
    let last = text.chars().next_back().is_some_and(|c| c != ':' && !c.is_whitespace());
    first
        && last
        && text.chars().all(|c| c == ' ' || (is_printable(c) && !c.is_whitespace()))
        && !text.contains(": ")
        && !text.contains(" #")
        && is_plain_text(text)
        && !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off")
}

/// Returns whether `text` has several lines, all of which a literal block preserves.
fn is_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    lines.contains('\n')
        && !lines.ends_with('\n')
        && !lines.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
        && lines.split('\n').all(|line| !line.starts_with('\t') && (line.is_empty() || !line.trim().is_empty()))
}

/// Returns whether `character` needs no escape in any style and is displayed in place.
fn is_printable(character: char) -> bool {
    match character {
        '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        // These characters change the text direction, so the document would look different.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => write!(out, "\\u{:04X}", c as u32).expect("writing to a String cannot fail"),
        }
    }
    out.push('"');
}
