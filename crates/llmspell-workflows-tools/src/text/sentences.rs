use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations whose full stop does not end a sentence, in lower case and without the full stop.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "ca", "capt", "cf", "co", "col", "dept", "dr", "e.g", "ed", "eds", "eq", "est", "fig", "gen",
    "gov", "hon", "i.e", "inc", "jr", "lt", "ltd", "mr", "mrs", "ms", "mt", "no", "op", "p", "pp", "prof", "rep",
    "rev", "sec", "sen", "sgt", "sr", "st", "u.k", "u.s", "vol", "vs",
];

/// Splits `text` into sentences, without surrounding whitespace.
///
/// This follows Unicode's rules (UAX #29) with two corrections. A full stop after a known abbreviation or a single
/// initial does not end a sentence. A line break ends a sentence only if the line ends like a sentence or an empty line
/// follows.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    for paragraph in paragraphs(text) {
        let mut start = 0;
        for (offset, piece) in paragraph.split_sentence_bound_indices() {
            let end = offset + piece.len();
            if end < paragraph.len() && continues(&paragraph[start..end]) {
                continue;
            }
            let sentence = paragraph[start..end].trim();
            if sentence.chars().any(char::is_alphanumeric) {
                sentences.push(sentence);
            }
            start = end;
        }
    }
    sentences
}

/// Returns the parts of `text` between empty lines.
fn paragraphs(text: &str) -> Vec<&str> {
    let mut paragraphs = Vec::new();
    let (mut start, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            paragraphs.push(&text[start..offset]);
            start = offset + line.len();
        }
        offset += line.len();
    }
    paragraphs.push(&text[start..]);
    paragraphs
}

/// Returns whether the sentence continues after `piece`.
fn continues(piece: &str) -> bool {
    let is_line = piece.ends_with('\n');
    let piece = piece.trim_end();
    let Some(before_stop) = piece.strip_suffix('.') else {
        // In wrapped text, a line can break anywhere.
        return is_line && !piece.ends_with(['!', '?', '…', ':', '。', '"', '”', ')']);
    };
    let word =
        before_stop.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next().unwrap_or_default();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_reader_expects() {
        for (text, expected) in [
            ("", vec![]),
            ("  \n\n ", vec![]),
            ("One.", vec!["One."]),
            ("One. Two! Three? Four", vec!["One.", "Two!", "Three?", "Four"]),
            ("Dr. Smith met J. K. Rowling. They spoke.", vec!["Dr. Smith met J. K. Rowling.", "They spoke."]),
            ("It costs 3.50 euros, e.g. in Rome. Fine.", vec!["It costs 3.50 euros, e.g. in Rome.", "Fine."]),
            ("A line\nthat is wrapped. Next.", vec!["A line\nthat is wrapped.", "Next."]),
            ("A heading\n\nA text.", vec!["A heading", "A text."]),
            ("First.\nSecond.", vec!["First.", "Second."]),
            ("これは文です。次の文です。", vec!["これは文です。", "次の文です。"]),
            ("*** \n\n ---", vec![]),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }
}
