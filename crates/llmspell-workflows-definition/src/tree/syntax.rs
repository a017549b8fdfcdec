//! Explains the YAML parser's errors in terms of the file: where the cause is, and how to fix it.

use granit_parser::{ErrorKind, ScanError};

use super::{
    Span,
    layout_errors::{deeper_line, foreign_indent, line_without_colon, missing_dash, unexpected_item},
    quote_errors::{after_quoted, bracket_in_string, escape, open_quote},
    shallow::{line_at, scan},
};
use crate::{diagnose::Finding, limits};

/// Returns the error of the parser as a finding.
pub(crate) fn scan_error(error: &ScanError, text: &str) -> Finding {
    let at = error.marker().byte_offset().unwrap_or_default().min(text.len());
    if let Some((start, bracket)) = scan(text, at + 1).stray {
        return bracket_in_string(text, start, bracket);
    }
    let explained = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Some(too_deep(span(at, at))),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => open_quote(text, at),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            after_quoted(text, at)
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => escape(text, at),
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabNotAllowed => Some(tab(text, at)),
        ErrorKind::UnexpectedCharacter { character } => Some(special_character(text, at, *character)),
        ErrorKind::UnknownAnchor => Some(unknown_anchor(text, at)),
        _ => None,
    };
    explained.or_else(|| open_bracket(text, at, error.kind())).unwrap_or_else(|| structure(error, text, at))
}

pub(super) fn too_deep(span: Span) -> Finding {
    Finding::error("too_deep", span, format!("the document is nested more than {} levels deep", limits::NODE_NESTING))
}

pub(super) fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

pub(super) fn syntax(start: usize, end: usize, message: impl Into<String>) -> Finding {
    Finding::error("syntax", span(start, end), message)
}

/// Truncates `text` to fit into a message.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The maximum length of a string quoted in a help text.
const QUOTED_BYTES_MAX: usize = 80;

/// Returns `text` in quotes, if it can be quoted without escapes and is not too long to be shown.
pub(super) fn in_quotes(text: &str) -> Option<String> {
    let text = Some(text.trim()).filter(|text| text.len() <= QUOTED_BYTES_MAX)?;
    match (text.contains(['"', '\\']), text.contains('\'')) {
        (false, _) => Some(format!("\"{text}\"")),
        (true, false) => Some(format!("'{text}'")),
        (true, true) => None,
    }
}

/// Explains errors about the structure of lines, keys and list items.
fn structure(error: &ScanError, text: &str, at: usize) -> Finding {
    let explained = match error.kind() {
        ErrorKind::MappingValueNotAllowed => second_colon(text, at).or_else(|| deeper_line(text, at)),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => line_without_colon(text, at),
        ErrorKind::ExpectedBlockSequenceEntry => missing_dash(text, at),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedDocumentStart => after_bracket(text, at)
            .or_else(|| unexpected_item(text, at))
            .or_else(|| foreign_indent(text, at))
            .or_else(|| line_without_colon(text, at)),
        _ => None,
    };
    explained.unwrap_or_else(|| {
        let finding = syntax(at, at, format!("the YAML cannot be read here: {}", error.info()));
        finding.with_help("check this line and the line above for a missing quote, bracket, `:` or `- `")
    })
}

fn tab(text: &str, at: usize) -> Finding {
    let (line, _) = line_at(text, at);
    let is_indented = |start: &usize| text[*start..].trim_start_matches(' ').starts_with('\t');
    let starts = std::iter::once(line).chain(text[at..].match_indices('\n').map(|(offset, _)| at + offset + 1));
    let Some(start) = starts.take(2).find(is_indented) else {
        return syntax(at, at, "a tab is not allowed here").with_help("use spaces");
    };
    let start = start + super::shallow::indent(&text[start..]);
    let end = start + text[start..].len() - text[start..].trim_start_matches('\t').len();
    syntax(start, end, "this line is indented with a tab").with_help("indent with spaces, two for each level")
}

fn special_character(text: &str, at: usize, character: char) -> Finding {
    let (start, line) = line_at(text, at);
    let written = &line[(at - start).min(line.len())..];
    let message = format!("a string without quotes cannot begin with `{character}`");
    let message =
        if character == '`' { "a string without quotes cannot begin with a backtick".to_owned() } else { message };
    let help = match in_quotes(written).filter(|_| scan(text, at).brackets.is_empty()) {
        Some(quoted) => format!("put the string in quotes: {quoted}"),
        None => "put the string in quotes".to_owned(),
    };
    syntax(at, start + line.len(), message).with_help(help)
}

fn unknown_anchor(text: &str, at: usize) -> Finding {
    let written = text[at..].split([' ', '\n', '\r', '\t', ',', ']', '}']).next().unwrap_or_default();
    let name = written.trim_start_matches('*');
    let message = format!("`*{name}` refers to the anchor `&{name}`, which is not defined above");
    syntax(at, at + written.len(), message)
        .with_help(format!("define `&{name}` before it, or put the string in quotes if `*` is part of it"))
}

/// Explains an error caused by a bracket that is never closed or was opened on an earlier line.
fn open_bracket(text: &str, at: usize, kind: &ErrorKind) -> Option<Finding> {
    let is_unclosed = matches!(kind, ErrorKind::UnclosedFlowCollection { .. });
    let open = if is_unclosed { at } else { *scan(text, at).brackets.last()? };
    let is_earlier = text[open..at].contains('\n');
    let (sign, closing) = if text[open..].starts_with('[') { ('[', ']') } else { ('{', '}') };
    if let ErrorKind::MismatchedFlowCollectionEnd { close, .. } = kind {
        let message = format!("`{close}` does not match the bracket `{sign}`, which needs `{closing}`");
        return Some(syntax(at, at + 1, message).with_help(format!("is a `{closing}` missing before it?")));
    }
    let is_closed = !is_unclosed && !scan(text, text.len()).brackets.contains(&open);
    if is_earlier && is_closed {
        return Some(missing_comma(text, at, closing));
    }
    if is_unclosed || is_earlier {
        let (start, line) = line_at(text, open);
        let is_alone = line[open - start + 1..].trim().is_empty();
        let help = match is_alone {
            true => format!("add `{closing}`, and check that a `,` separates the entries"),
            false => format!("add `{closing}`, probably at the end of this line"),
        };
        return Some(syntax(open, open + 1, format!("the bracket `{sign}` is not closed")).with_help(help));
    }
    let finding = syntax(at, at, format!("the entries between `{sign}` and `{closing}` cannot be read here"));
    let form = if sign == '[' { "`[one, two]`" } else { "`{name: value, other: value}`" };
    Some(finding.with_help(format!("write {form}, and put strings that contain `,`, `: ` or brackets in quotes")))
}

/// Explains a missing comma between an entry in brackets and the entry in the line above.
fn missing_comma(text: &str, at: usize, closing: char) -> Finding {
    let (start, line) = line_at(text, at);
    let from = start + super::shallow::indent(line);
    let number = text[..start].matches('\n').count();
    let message = format!("expected `,` or `{closing}` before this line");
    syntax(from, start + line.len(), message).with_help(format!("is a `,` missing at the end of line {number}?"))
}

/// Explains text after a closed bracket, as in `key: {{ name }} text`.
fn after_bracket(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let value = line.find(": ").map(|colon| colon + 2)?;
    let written = line[value..].trim_start();
    let offset = start + line.len() - written.len();
    if offset >= at || !written.starts_with(['{', '[']) {
        return None;
    }
    let message = format!("a value that begins with `{}` ends at its closing bracket, but text follows", &written[..1]);
    let help = match in_quotes(written) {
        Some(quoted) => format!("put the whole string in quotes: {quoted}"),
        None => "put the whole string in quotes".to_owned(),
    };
    Some(syntax(at, start + line.len(), message).with_help(help))
}

/// Explains a second `: ` in a line, as in `description: Note: new`.
fn second_colon(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let entry = line.trim_start_matches([' ', '-']);
    let first = entry.find(": ")?;
    let offset = start + line.len() - entry.len() + first;
    if offset >= at {
        return None;
    }
    let (key, value) = (&entry[..first], entry[first + 2..].trim());
    let message = format!("the value of `{}` contains `: `, which begins another field in YAML", shown(key));
    let help = match in_quotes(value) {
        Some(quoted) => format!("if it is a string, put it in quotes: {key}: {quoted}"),
        None => "if it is a string, put it in quotes".to_owned(),
    };
    let help = help + "; otherwise write each field on its own line";
    Some(syntax(at, (at + 1).min(text.len()), message).with_help(help))
}
