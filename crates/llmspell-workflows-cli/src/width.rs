//! The width of text on a terminal.

use console::AnsiCodeIterator;
use unicode_width::UnicodeWidthChar;

/// Returns the maximum number of columns that `text` occupies, not counting its styling. Terminals
/// that combine characters show it in fewer columns.
pub(crate) fn width(text: &str) -> usize {
    let plain = AnsiCodeIterator::new(text).filter(|(_, is_code)| !is_code);
    plain.flat_map(|(part, _)| part.chars()).map(|character| character.width().unwrap_or(0)).sum()
}

/// Cuts `text` to `columns` and adds an ellipsis; the styling is kept.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(mut room) = columns.checked_sub(1) else { return String::new() };
    let mut shown = String::new();
    let mut is_cut = false;
    for (part, is_code) in AnsiCodeIterator::new(text) {
        if is_code {
            shown += part;
            continue;
        }
        for character in part.chars() {
            let width = character.width().unwrap_or(0);
            is_cut |= width > room;
            if !is_cut {
                room -= width;
                shown.push(character);
            }
        }
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns_and_keep_their_styling() {
        for (text, columns, expected) in [
            ("plain", 5, "plain"),
            ("plain text", 6, "plain…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("x", 0, ""),
            ("\u{1b}[1mbold text\u{1b}[0m", 5, "\u{1b}[1mbold\u{1b}[0m…"),
        ] {
            assert_eq!(cut(text, columns), expected, "{text:?} in {columns}");
        }
    }
}
