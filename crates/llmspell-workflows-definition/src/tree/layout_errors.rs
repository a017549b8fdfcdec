//! Explains errors in indentation, in list items, and in lines that are neither items nor fields.

use super::{
    shallow::{indent, line_at},
    syntax::{shown, syntax},
};
use crate::diagnose::Finding;

/// Returns the lines above the line at `start`, nearest first, without blank lines and comments.
fn lines_above(text: &str, start: usize) -> impl Iterator<Item = (usize, &str)> {
    let above = &text[..start];
    let count = above.matches('\n').count();
    above.lines().rev().enumerate().map(move |(index, line)| (count - index, line)).filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    })
}

fn spaces(count: usize) -> String {
    match count {
        0 => "no spaces".to_owned(),
        1 => "1 space".to_owned(),
        count => format!("{count} spaces"),
    }
}

/// Returns the column of the first key or value in `line`, after its dashes.
fn content_column(line: &str) -> usize {
    line.len() - content(line).len()
}

fn content(line: &str) -> &str {
    let mut rest = line.trim_start_matches(' ');
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start_matches(' ');
    }
    rest
}

/// Returns whether `value` begins a block scalar, as in `|` or `>-`.
fn is_block_header(value: &str) -> bool {
    let value = value.trim();
    value.starts_with(['|', '>']) && value[1..].chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'))
}

fn is_item(line: &str) -> bool {
    let line = line.trim_start_matches(' ');
    line.starts_with("- ") || line == "-"
}

/// Explains a line `key: value` that continues the string in the line above.
pub(super) fn deeper_line(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let (_, above) = lines_above(text, start).next()?;
    if let Some(finding) = dash_without_space(text, start, above) {
        return Some(finding);
    }
    let key = content(line).split(':').next().unwrap_or_default();
    let column = content_column(above);
    let (from, to) = (start + content_column(line), start + line.len());
    match content(above).split_once(": ") {
        Some((name, value)) if !value.trim().is_empty() && content_column(line) > column => {
            let message =
                format!("this line is indented more than `{name}` above it, so it continues the value of `{name}`");
            let help = format!("indent `{key}` with {}, like `{name}`", spaces(column));
            Some(syntax(from, to, message).with_help(help))
        }
        _ => line_without_colon(text, text[..start].rfind(above)?),
    }
}

/// Explains a missing space after the dash in the line above `start`.
fn dash_without_space(text: &str, start: usize, above: &str) -> Option<Finding> {
    let item = above.trim_start_matches(' ').strip_prefix('-')?;
    if !item.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let from = text[..start].rfind(above)? + indent(above);
    let message = format!("missing space after the dash of `-{}`", shown(item));
    let help = format!("write `- {}`, and indent the other fields of the item like the first", shown(item));
    Some(syntax(from, from + 1 + item.len(), message).with_help(help))
}

/// Explains a line without `: ` in a mapping.
pub(super) fn line_without_colon(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let written = content(line).split(" #").next().unwrap_or_default().trim_end();
    if written.is_empty() || written.contains(": ") || written.ends_with(':') {
        return None;
    }
    let from = start + content_column(line);
    let above = lines_above(text, start).next().map_or("", |(_, above)| above);
    let message = format!("expected a field such as `name: value`, got `{}`", shown(written));
    let finding = syntax(from, from + written.len(), message);
    if let Some((name, sign)) = content(above).split_once(": ").filter(|(_, sign)| is_block_header(sign)) {
        let help = format!("if it is part of `{name}: {}`, indent it more than `{name}`", sign.trim());
        return Some(finding.with_help(help));
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_item(above) && indent(above) == indent(line) && !is_item(line) && !content(above).contains(": ") {
        return Some(finding.with_help(format!("begin a list item with a dash and a space: `- {written}`")));
    }
    let help = match (written.split_once(':'), written.split_once(' ')) {
        (Some((name, value)), _) if is_name(name) => {
            format!("add a space after the colon: `{name}: {}`", value.trim())
        }
        (_, Some((name, value))) if is_name(name) => {
            format!("add a colon after the name: `{name}: {}`", value.trim())
        }
        (None, None) if is_name(written) => format!("add a colon after the name: `{written}:`"),
        _ => "write a field as `name: value`, and a list item as `- value`".to_owned(),
    };
    Some(finding.with_help(help))
}

/// Explains a line without a dash among list items.
pub(super) fn missing_dash(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let written = line.trim_start_matches(' ').trim_end();
    let column = indent(line);
    let (_, item) = lines_above(text, start).find(|(_, above)| indent(above) <= column)?;
    if written.is_empty() || !is_item(item) || indent(item) != column || is_item(line) {
        return None;
    }
    let from = start + column;
    let message = "this line is in a list, but does not begin with a dash and a space";
    let finding = syntax(from, from + written.len(), message);
    let is_field = written.contains(": ") || written.ends_with(':');
    let help = match written.split(':').next().filter(|_| is_field) {
        // The first field of a step is nearly always one of these.
        Some("id" | "name") => {
            format!("begin the item with a dash: `- {}`; indent its other fields below it", shown(written))
        }
        Some(name) => {
            let inner = spaces(content_column(item));
            format!(
                "if `{name}` belongs to the item above, indent it with {inner}; otherwise begin an item: `- {}`",
                shown(written)
            )
        }
        None => format!("did you mean `- {}`?", shown(written)),
    };
    Some(finding.with_help(help))
}

/// Explains a list item among the fields of a mapping.
pub(super) fn unexpected_item(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    if !is_item(line) {
        return None;
    }
    let column = indent(line);
    let (number, above) = lines_above(text, start).find(|(_, above)| indent(above) <= column)?;
    if is_item(above) || indent(above) != column {
        return None;
    }
    let name = content(above).split(':').next().unwrap_or_default();
    let message = format!("this list item has the same indentation as the field `{}` on line {number}", shown(name));
    let help = "put the list below its field, such as `steps:`, or remove the dash";
    Some(syntax(start + column, start + line.len(), message).with_help(help))
}

/// Explains a line whose indentation matches no line above it.
pub(super) fn foreign_indent(text: &str, at: usize) -> Option<Finding> {
    let (start, line) = line_at(text, at);
    let column = indent(line);
    if line.trim().is_empty() || at > start + column {
        return None;
    }
    let mut open: Vec<(usize, usize, &str)> = Vec::new();
    for (number, above) in lines_above(text, start) {
        let outer = open.last().map_or(usize::MAX, |(outer, ..)| *outer);
        for at in [content_column(above), indent(above)] {
            if at < outer && open.last().is_none_or(|(last, ..)| at < *last) {
                open.push((at, number, above));
            }
        }
        if indent(above) == 0 {
            break;
        }
    }
    if open.iter().any(|(outer, ..)| *outer == column) {
        return None;
    }
    let message = format!("this line begins with {}, but no line above has this indentation", spaces(column));
    let fits = |above: &str, outer: usize| is_item(line) == (is_item(above) && indent(above) == outer);
    let near =
        open.iter().filter(|(outer, _, above)| fits(above, *outer)).min_by_key(|(outer, ..)| outer.abs_diff(column));
    let help = match near.or(open.first()) {
        Some((outer, number, _)) => format!("did you mean {}, as on line {number}?", spaces(*outer)),
        None => "indent it like the lines that it belongs to".to_owned(),
    };
    Some(syntax(start, start + column.max(1), message).with_help(help))
}
