use std::ops::Range;

use crate::tree::Span;

/// How the text of a field maps to its bytes in the source.
#[derive(Debug, Clone)]
pub(crate) enum Inside {
    /// The field is not a string, or the reader assembled the string.
    Unknown,
    /// The text appears verbatim in the source, at this byte offset from the start of its span.
    Verbatim(u32),
    /// The text itself, which spans several lines or contains escapes in the source.
    Written(Box<str>),
}

impl Inside {
    /// Returns how `text` is written at `span` in the source.
    pub(crate) fn of(text: &str, span: Span, source: &str) -> Self {
        match span.slice(source).find(text) {
            Some(offset) => Self::Verbatim(offset as u32),
            None => Self::Written(text.into()),
        }
    }

    /// Returns the part of `span` that corresponds to the byte range `within` of the text.
    pub(crate) fn narrow(&self, span: Span, within: &Range<usize>, source: &str) -> Span {
        let part = match self {
            Self::Unknown => return span,
            Self::Verbatim(offset) => within.start + *offset as usize..within.end + *offset as usize,
            Self::Written(text) => match align(span.slice(source), text, within) {
                Some(part) => part,
                None => return span,
            },
        };
        let at = |offset: usize| (span.start + offset as u32).min(span.end);
        Span { start: at(part.start), end: at(part.end.max(part.start)) }
    }
}

/// Returns the range of `written` that encodes the range `within` of `text`.
///
/// Walks both strings in parallel. All whitespace is equivalent, since folding and indentation change only whitespace;
/// an escape counts as one character.
fn align(written: &str, text: &str, within: &Range<usize>) -> Option<Range<usize>> {
    let bytes = written.as_bytes();
    let quote = bytes.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let mut at = usize::from(quote.is_some());
    let mut start = None;
    let mut end = at;
    for (offset, character) in text.char_indices() {
        if offset >= within.end {
            break;
        }
        if !character.is_whitespace() {
            at += written.get(at..)?.len() - written.get(at..)?.trim_start().len();
        }
        if offset >= within.start && start.is_none() {
            start = Some(at);
        }
        at += width(written.get(at..)?, character, quote)?;
        end = at;
    }
    Some(start.unwrap_or(end)..end)
}

/// Returns the number of bytes at the start of `rest` that encode `character`.
fn width(rest: &str, character: char, quote: Option<u8>) -> Option<usize> {
    let first = rest.chars().next()?;
    match (quote, first) {
        (Some(b'"'), '\\') => Some(match rest.as_bytes().get(1)? {
            b'x' => 4,
            // A surrogate pair encodes one character outside the basic multilingual plane.
            b'u' if character as u32 > 0xFFFF => 12,
            b'u' => 6,
            b'U' => 10,
            _ => 2,
        }),
        (Some(b'\''), '\'') if character == '\'' => Some(2),
        _ if first == character => Some(first.len_utf8()),
        _ if character.is_whitespace() => Some(if first.is_whitespace() { first.len_utf8() } else { 0 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_in_every_scalar_style() {
        for (written, text, part) in [
            ("a > bb", "a > bb", "bb"),
            ("\"a \\\"q\\\" bb\"", "a \"q\" bb", "bb"),
            ("\"\\u00e4\\n bb\"", "ä\n bb", "bb"),
            ("\"\\ud83d\\ude00 bb\"", "😀 bb", "bb"),
            ("'it''s bb'", "it's bb", "bb"),
            ("a\n      && bb", "a && bb", "bb"),
            ("a &&\n    bb ||\n      c\n", "a &&\nbb ||\n  c\n", "bb"),
        ] {
            let span = Span { start: 0, end: written.len() as u32 };
            let from = text.find(part).unwrap();
            let inside = Inside::of(text, span, written);
            let found = inside.narrow(span, &(from..from + part.len()), written);
            assert_eq!(found.slice(written), part, "{written}");
        }
    }

    #[test]
    fn unmappable_parts_fall_back_to_the_whole_field() {
        let span = Span { start: 0, end: 3 };
        assert_eq!(Inside::of("xyz", span, "abc").narrow(span, &(1..2), "abc"), span);
        assert_eq!(Inside::Unknown.narrow(span, &(1..2), "abc"), span);
        assert_eq!(Inside::Verbatim(0).narrow(span, &(1..99), "abc"), Span { start: 1, end: 3 });
    }
}
