//! Makes text safe for a terminal: escapes control characters, and lets only our own styling
//! take effect.

use std::{
    borrow::Cow,
    fmt::Write,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

/// A random number that marks our own styling; foreign text cannot know it, because it differs in
/// each process.
static MARK: LazyLock<String> = LazyLock::new(|| RandomState::new().hash_one("styling").to_string());

/// The character at the start of each styling code.
const ESCAPE: char = '\u{1b}';

/// Returns `text` between the codes that start and end the styling `style`, such as `1;31`.
///
/// The codes take effect only after [`for_terminal`] has converted the text.
pub(crate) fn styled(style: &str, text: &str) -> String {
    let mark = &*MARK;
    format!("{ESCAPE}[{style};{mark}m{text}{ESCAPE}[0;{mark}m")
}

/// Marks the styling in `text` as our own. The text must not contain other control characters.
pub(crate) fn trusted(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut parts = text.split(ESCAPE);
    marked.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (style, rest) = part.split_once('m').unwrap_or((part, ""));
        write!(marked, "{ESCAPE}{style};{}m{rest}", &*MARK).expect("writing to a string cannot fail");
    }
    marked
}

/// Converts `text` for a terminal or a pipe: our own styling takes effect, and all other control characters are
/// escaped.
pub(crate) fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return escape(text);
    }
    let end = format!(";{}m", &*MARK);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        shown.push_str(&escape(before));
        match after.split_once(&end) {
            Some((style, left)) if is_style(style) => {
                write!(shown, "{ESCAPE}{style}m").expect("writing to a string cannot fail");
                rest = left;
            }
            _ => {
                shown.push_str(&escape("\u{1b}"));
                rest = after;
            }
        }
    }
    shown.push_str(&escape(rest));
    shown.into()
}

/// Escapes each control character, except tabs and line ends, as `\u` and four hexadecimal digits.
///
/// JSON uses the same notation, so escaping a JSON document does not change its meaning.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            hostile if is_hostile(hostile) => {
                write!(shown, "\\u{:04x}", u32::from(hostile)).expect("writing to a string cannot fail");
            }
            other => shown.push(other),
        }
    }
    shown.into()
}

/// Like [`escape`], for text that must stay on one line.
pub(crate) fn escape_line(text: &str) -> Cow<'_, str> {
    if text.contains('\n') { escape(text).replace('\n', "\\u000a").into() } else { escape(text) }
}

/// Returns whether a character can change other parts of the screen: a control character, or a
/// character that changes the direction of the following text.
fn is_hostile(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

fn is_style(text: &str) -> bool {
    text.strip_prefix('[')
        .is_some_and(|style| style.len() <= 8 && style.chars().all(|c| c.is_ascii_digit() || c == ';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_except_tabs_and_line_ends() {
        for (text, expected) in [
            ("plain ä 日本\n\tx", "plain ä 日本\n\tx"),
            ("a\r\nb\rc", "a\nb\\u000dc"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\u001b[31mred\\u001b]0;title\\u0007"),
            ("\0\u{8}\u{b}\u{c}\u{7f}", "\\u0000\\u0008\\u000b\\u000c\\u007f"),
            ("\u{80}\u{9b}31m\u{9f}\u{a0}", "\\u0080\\u009b31m\\u009f\u{a0}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", "\\u202a\\u202e\\u2066\\u2069"),
        ] {
            assert_eq!(escape(text), expected);
            assert_eq!(for_terminal(text), expected);
        }
        assert_eq!(escape_line("a\nb"), "a\\u000ab");
    }

    #[test]
    fn only_our_own_styling_takes_effect() {
        let own = styled("1;31", "bad\u{1b}[32m");
        assert_eq!(for_terminal(&own), "\u{1b}[1;31mbad\\u001b[32m\u{1b}[0m");
        for foreign in ["\u{1b}[31m", "\u{1b}[31;1m", "\u{1b}[2J", "\u{1b}]0;x;1m", "\u{1b}"] {
            assert!(!for_terminal(foreign).contains(ESCAPE), "{foreign:?}");
        }
        let other = format!("\u{1b}]8;{};{}m", "x", &*MARK);
        assert!(!for_terminal(&other).contains(ESCAPE), "only colors can be marked");
        assert_eq!(for_terminal(&trusted("\u{1b}[34m|\u{1b}[0m x")), "\u{1b}[34m|\u{1b}[0m x");
    }

    #[test]
    fn escaping_json_keeps_its_meaning() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}\u{7f}\u{80}\u{202e}\n\t\r\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = escape(&text);
        assert!(!shown.chars().any(is_hostile));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
