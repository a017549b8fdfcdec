use std::fmt::Write;

use llmspell_workflows_basic::Severity;
use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Source};

/// The style of rendered diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Plain text; no information is conveyed by colour alone.
    #[default]
    Plain,
    /// Text with ANSI colours.
    Colour,
}

/// The maximum number of columns shown; longer lines are cut to the part around the mark.
const COLUMNS_SHOWN: usize = 100;

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Writes a diagnostic:
///
/// ```text
/// error[unknown_field]: `timout` is not a field of a `tool` step
///   --> flow.yaml:7:5 (/main/fetch)
///    |
///  7 |     timout: 30
///    |     ^^^^^^
///    = help: did you mean `timeout`?
/// ```
pub(super) fn diagnostic(out: &mut String, diagnostic: &Diagnostic, source: &Source, style: Style) {
    let Diagnostic { code, severity, message, help, file, line, column, path, .. } = diagnostic;
    let (word, colour) = if *severity == Severity::Error { ("error", "1;31") } else { ("warning", "1;33") };
    let head = style.paint(colour, &format!("{word}[{code}]"));
    let place = if path.is_empty() { String::new() } else { format!(" ({path})") };
    let excerpt = Excerpt::new(diagnostic, source);
    let (message, file, place) = (safe(message), safe(file), safe(&place));
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let help = help.as_deref().map(|help| safe(help).replace('\n', &format!("\n{margin}    ")));
    let bar = style.paint("34", "|");
    let mark = style.paint(colour, &excerpt.mark);
    let written = writeln!(
        out,
        "{head}: {message}\n{margin} --> {file}:{line}:{column}{place}\n{margin}  {bar}\n {number} {bar} {}\n{margin}  {bar} {}{mark}",
        excerpt.text, excerpt.indent,
    )
    .and_then(|()| match help {
        Some(help) => writeln!(out, "{margin}  {} {help}", style.paint("36", "= help:")),
        None => Ok(()),
    })
    .and_then(|()| writeln!(out));
    written.expect("writing to a String cannot fail");
}

/// The line of a diagnostic, cut to the maximum width, and the mark under it.
struct Excerpt {
    text: String,
    indent: String,
    mark: String,
}

impl Excerpt {
    fn new(diagnostic: &Diagnostic, source: &Source) -> Self {
        let line: Vec<char> = source.line(diagnostic.line).chars().map(visible).collect();
        let start = (diagnostic.column - 1).min(line.len());
        let end = if diagnostic.end_line == diagnostic.line { diagnostic.end_column - 1 } else { line.len() };
        let end = end.clamp(start, line.len());
        let (from, to) = window(line.len(), start, end);
        let text: String = line[from..to].iter().collect();
        let (lead, tail) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
        let indent = " ".repeat(lead.chars().count() + width(&line[from..start]));
        let mark = "^".repeat(width(&line[start..end.min(to)]).max(1));
        Self { text: format!("{lead}{text}{tail}"), indent, mark }
    }
}

/// Returns the visible range of a line of `length` characters, with as much of `start..end` as
/// possible.
fn window(length: usize, start: usize, end: usize) -> (usize, usize) {
    if length <= COLUMNS_SHOWN {
        return (0, length);
    }
    let spare = COLUMNS_SHOWN.saturating_sub(end - start);
    let from = start.saturating_sub(spare / 2).min(length.saturating_sub(COLUMNS_SHOWN));
    let from = from.min(start);
    (from, (from + COLUMNS_SHOWN).min(length))
}

/// Replaces tabs and control characters, which would misplace the mark or affect the terminal.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        c if is_hostile(c) => '\u{fffd}',
        c => c,
    }
}

/// Escapes control characters, except line breaks, because they would affect the terminal.
fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            c if is_hostile(c) => write!(shown, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail"),
            c => shown.push(c),
        }
    }
    shown
}

/// Returns whether a character is a control character, or changes the direction of the text after it.
fn is_hostile(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn width(characters: &[char]) -> usize {
    characters.iter().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, column: usize, end_column: usize) -> String {
        let source = Source::new("f", line);
        let at = Diagnostic {
            code: "c",
            severity: Severity::Error,
            message: String::new(),
            help: None,
            file: "f".into(),
            line: 1,
            column,
            end_line: 1,
            end_column,
            path: String::new(),
        };
        let Excerpt { text, indent, mark } = Excerpt::new(&at, &source);
        format!("{text}\n{indent}{mark}")
    }

    #[test]
    fn marks_are_aligned_with_their_columns() {
        assert_eq!(shown("a: bcd", 4, 7), "a: bcd\n   ^^^");
        assert_eq!(shown("\ta\u{1b}: 日本x", 5, 7), " a\u{fffd}: 日本x\n    ^^^");
        assert_eq!(shown("", 1, 1), "\n^");
        assert_eq!(shown("ab", 9, 20), "ab\n  ^");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}here{}", "x".repeat(1_000), "y".repeat(1_000));
        let text = shown(&line, 1_001, 1_005);
        let (line, mark) = text.split_once('\n').unwrap();
        assert!(line.starts_with('…') && line.ends_with('…') && line.chars().count() == COLUMNS_SHOWN + 2);
        let column = mark.find('^').unwrap();
        assert_eq!(line.chars().skip(column).take(4).collect::<String>(), "here");
        assert_eq!(mark.trim(), "^^^^");
    }
}
