//! Finds unquoted strings that other YAML parsers would not read as strings.

use super::{edits::Edit, outline::Outline};
use crate::tree::{Span, is_plain_text};

/// Returns the edits that quote strings other YAML parsers would read differently.
pub(super) fn edits(outline: &Outline, text: &str) -> Vec<Edit> {
    let values = outline.plain_values.iter().map(|span| (span, span.slice(text)));
    let quoted = values.filter(|(_, written)| is_plain_text(written) && is_other_elsewhere(written));
    quoted.map(|(span, written): (&Span, &str)| Edit { span: *span, text: format!("\"{written}\"") }).collect()
}

/// Returns whether YAML 1.1 reads `text` as a boolean, a number or a date.
fn is_other_elsewhere(text: &str) -> bool {
    let is_word = matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_amount = unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.contains(['_', ':'])
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b':' | b'.'));
    let is_binary = unsigned.strip_prefix("0b").is_some_and(|digits| digits.bytes().all(|b| matches!(b, b'0' | b'1')));
    let parts: Vec<_> = text.split('-').collect();
    let is_date = parts.len() == 3 && parts[0].len() == 4 && parts.iter().all(|part| digits(part));
    is_word || is_amount || is_binary || is_date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_yaml_1_1_reads_differently_are_quoted() {
        for (text, expected) in [
            ("a: yes", "a: \"yes\""),
            ("a: [Off, 'on', \"no\"]", "a: [\"Off\", 'on', \"no\"]"),
            ("a: 1:30", "a: \"1:30\""),
            ("a: 1_000", "a: \"1_000\""),
            ("a: 0b11", "a: \"0b11\""),
            ("a: 2025-07-20", "a: \"2025-07-20\""),
            ("a: 1.0.0", "a: 1.0.0"),
            ("a: 012", "a: 012"),
            ("a: true", "a: true"),
            ("y: yes sir", "y: yes sir"),
        ] {
            let outline = Outline::of(text).unwrap();
            assert_eq!(super::super::edits::apply(text, edits(&outline, text)), expected);
        }
    }
}
