//! Explains errors in quoted strings.

use super::{
    shallow::{Quoted, end_of_quoted, line_at, scan},
    syntax::{in_quotes, shown, syntax},
};
use crate::diagnose::Finding;

/// Explains a quoted string that is still open at `at`.
pub(super) fn open_quote(text: &str, at: usize) -> Option<Finding> {
    let quoted = scan(text, at).quoted.into_iter().rev().find(|one| one.end.is_none_or(|end| end > at))?;
    Some(unclosed(text, quoted))
}

fn unclosed(text: &str, Quoted { start, quote, .. }: Quoted) -> Finding {
    let (line_start, line) = line_at(text, start);
    let message = format!("the string that begins with `{quote}` has no closing `{quote}`");
    syntax(start, line_start + line.len(), message)
        .with_help(format!("add `{quote}` where the string ends, probably at the end of this line"))
}

/// Explains text after the closing quote of a string; `at` is the offset of that text.
pub(super) fn after_quoted(text: &str, at: usize) -> Option<Finding> {
    let found = scan(text, at).quoted;
    let quoted = *found.iter().rev().find(|one| one.end.is_some_and(|end| end <= at))?;
    let (start, end) = (quoted.start, quoted.end?);
    let quote = quoted.quote;
    let (line_start, line) = line_at(text, start);
    let line_end = line_start + line.len();
    if end > line_end {
        // The string ends at the opening quote of another string, in a later line.
        return Some(unclosed(text, quoted));
    }
    let ended = shown(&text[start..end]);
    let (rest_start, rest) = line_at(text, at);
    let rest = shown(&rest[(at - rest_start).min(rest.len())..]);
    let message = format!("this `{quote}` ends the string `{ended}`, but `{rest}` follows");
    let (name, escaped) = if quote == '"' { ("double", "\\\"") } else { ("single", "''") };
    let escape = format!("in {name} quotes, write `{escaped}` for `{quote}`");
    let whole = Some(text[start..line_end].trim_end()).filter(|_| !quoted.in_brackets);
    let help = match whole.and_then(|whole| repaired(whole, quote)) {
        Some(repaired) => format!("write the whole string in one pair of quotes, such as {repaired}; {escape}"),
        None if quoted.in_brackets => format!("add `{quote}` before it if one is missing; {escape}"),
        None => escape,
    };
    Some(syntax(end - 1, end, message).with_help(help))
}

/// Returns `written`, which begins with `quote`, in one pair of quotes if no escapes are needed.
fn repaired(written: &str, quote: char) -> Option<String> {
    let is_enclosed = written.len() > 1 && written.ends_with(quote);
    let inner = if is_enclosed { &written[1..written.len() - 1] } else { written };
    in_quotes(inner)
}

/// Explains a bracket in an unquoted string inside brackets, as in `{command: echo ${A}}`.
pub(super) fn bracket_in_string(text: &str, start: usize, bracket: usize) -> Finding {
    let sign = &text[bracket..=bracket];
    let message = format!("inside brackets, a string without quotes cannot contain `{sign}`");
    let (line_start, line) = line_at(text, start);
    let written = &text[start..line_start + line.len()];
    // If the string is the last value in its line, a closing bracket follows it.
    let quoted = written.strip_suffix('}').filter(|value| !value.contains(": ")).and_then(in_quotes);
    let help = match quoted {
        Some(quoted) => format!("put the whole string in quotes, such as {quoted}"),
        None => "put the whole string in quotes".to_owned(),
    };
    syntax(bracket, bracket + 1, message).with_help(help)
}

/// Explains an unknown escape in the double-quoted string at or before `at`.
pub(super) fn escape(text: &str, at: usize) -> Option<Finding> {
    let found = scan(text, at + 1).quoted;
    let quoted = found.iter().rev().find(|one| one.quote == '"' && one.start <= at)?;
    let end = end_of_quoted(&text[quoted.start..], '"').map_or(text.len(), |length| quoted.start + length);
    let inner = &text[quoted.start..end];
    let (offset, length) = unknown_escape(inner)?;
    let start = quoted.start + offset;
    let written = &text[start..start + length];
    let message = format!("`{}` is not an escape in double quotes", shown(written));
    let help = format!("write `\\{written}` for a backslash, or use single quotes, which keep backslashes as they are");
    Some(syntax(start, start + length, message).with_help(help))
}

/// Returns the offset and length of the first escape that YAML does not know.
fn unknown_escape(quoted: &str) -> Option<(usize, usize)> {
    let mut at = 1;
    while let Some(offset) = quoted.get(at..)?.find('\\') {
        at += offset;
        let escaped = quoted[at + 1..].chars().next()?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let hex = quoted[at + 1 + escaped.len_utf8()..].chars().take_while(char::is_ascii_hexdigit).count();
        if !is_escape(escaped) || hex < digits {
            return Some((at, 1 + escaped.len_utf8()));
        }
        at += 1 + escaped.len_utf8();
    }
    None
}

fn is_escape(character: char) -> bool {
    "0abtnvfre \"/\\N_LPxuU\t\n\r".contains(character)
}
