use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::words;

/// A named entity in a text.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Entity {
    /// `url`, `email`, `date`, `money` or `name`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The text of the first occurrence.
    text: String,
    /// The number of occurrences.
    count: usize,
    /// The offset of the first occurrence, in characters.
    offset: usize,
}

const MONTHS: &str = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?";
const AMOUNT: &str = r"\d{1,3}(?:[,.\u{a0}]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?";
const SCALE: &str = r"(?:\s?(?:thousand|million|billion|trillion|[kmb]n?)\b)?";

/// Patterns by kind, in order of precedence: text matched by an earlier pattern is not available to
/// later patterns.
static PATTERNS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let money = format!(
        r"(?i)(?:[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF)\s?)\s?(?:{AMOUNT}){SCALE}|\b(?:{AMOUNT}){SCALE}\s?(?:[€£¥₹]|(?:USD|EUR|GBP|JPY|CHF|dollars?|euros?|pounds?|yen|francs?)\b)"
    );
    let date = format!(
        r"\b\d{{4}}-\d{{2}}-\d{{2}}(?:T\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?(?:Z|[+-]\d{{2}}:?\d{{2}})?)?\b|\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b|\b{MONTHS} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?\b|\b\d{{1,2}}(?:st|nd|rd|th)? {MONTHS}(?:,? \d{{4}})?\b|\b{MONTHS} \d{{4}}\b"
    );
    let patterns = [
        ("url", r#"\bhttps?://[^\s<>"'“”]+[^\s<>"'“”.,;:!?)\]}]"#),
        ("email", r"\b[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}\b"),
        ("date", date.as_str()),
        ("money", money.as_str()),
        (
            "name",
            r"\b\p{Lu}[\p{L}\p{N}'’-]*\.?(?: (?:(?:of|the|de|van|von|der|la|du|and|&) ){0,2}\p{Lu}[\p{L}\p{N}'’-]*)+",
        ),
    ];
    let compile = |pattern: &str| Regex::new(pattern).expect("the patterns are constants, and a test compiles them");
    patterns.map(|(kind, pattern)| (kind, compile(pattern))).into()
});

/// Finds the named entities in `text`, in order of first occurrence: URLs, e-mail addresses, dates, amounts of
/// money, and names, which are sequences of two or more capitalized words.
///
/// The search is based on rules: it misses single-word names, and mistakes a capitalized title for a name.
pub(super) fn entities(text: &str) -> Vec<Entity> {
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut found: Vec<(usize, &'static str, &str)> = Vec::new();
    for (kind, pattern) in PATTERNS.iter() {
        let before = taken.len();
        for hit in pattern.find_iter(text) {
            let (start, end) = if *kind == "name" { trim_name(text, hit.range()) } else { (hit.start(), hit.end()) };
            if start < end && !overlaps(&taken[..before], start, end) {
                taken.push((start, end));
                found.push((start, kind, &text[start..end]));
            }
        }
        taken.sort_unstable();
    }
    found.sort_unstable();
    count_occurrences(text, &found)
}

/// Removes leading function words, which may be capitalized at the start of a sentence, from the name in `range`. The
/// result is empty if fewer than two words remain.
fn trim_name(text: &str, range: std::ops::Range<usize>) -> (usize, usize) {
    let (mut start, end) = (range.start, range.end);
    while let Some((first, _)) = text[start..end].split_once(' ') {
        if !words::is_stop_word(&words::normalize(first)) {
            return (start, end);
        }
        start += first.len() + 1;
    }
    (end, end)
}

/// Returns whether the given range overlaps a range of `taken`, which is sorted and free of overlaps.
fn overlaps(taken: &[(usize, usize)], start: usize, end: usize) -> bool {
    let after = taken.partition_point(|(_, taken_end)| *taken_end <= start);
    taken.get(after).is_some_and(|(taken_start, _)| *taken_start < end)
}

fn count_occurrences(text: &str, found: &[(usize, &'static str, &str)]) -> Vec<Entity> {
    let mut entities: Vec<Entity> = Vec::new();
    let mut known = std::collections::HashMap::new();
    let (mut bytes, mut chars) = (0, 0);
    for (start, kind, name) in found {
        chars += text[bytes..*start].chars().count();
        bytes = *start;
        let index = *known.entry((*kind, *name)).or_insert(entities.len());
        match entities.get_mut(index) {
            Some(entity) => entity.count += 1,
            None => entities.push(Entity { kind, text: (*name).to_owned(), count: 1, offset: chars }),
        }
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, String)> {
        entities(text).into_iter().map(|entity| (entity.kind, entity.text)).collect()
    }

    #[test]
    fn entities_of_each_kind_are_found() {
        for (text, kind, expected) in [
            ("See https://example.com/a?b=c, please.", "url", vec!["https://example.com/a?b=c"]),
            ("Mail jane.doe@mail.example.org.", "email", vec!["jane.doe@mail.example.org"]),
            ("From 2025-01-31 to March 3, 2025 or 4 May.", "date", vec!["2025-01-31", "March 3, 2025", "4 May"]),
            ("At 2025-01-31T10:00:00Z", "date", vec!["2025-01-31T10:00:00Z"]),
            ("It cost $1,250.50, then 3 million euros.", "money", vec!["$1,250.50", "3 million euros"]),
            ("The Ada Lovelace Institute met Grace Hopper.", "name", vec!["Ada Lovelace Institute", "Grace Hopper"]),
            ("The University of Oxford", "name", vec!["University of Oxford"]),
            ("Nothing is here. The end. However Berlin", "name", vec![]),
        ] {
            let of_kind: Vec<String> =
                found(text).into_iter().filter(|(of, _)| *of == kind).map(|(_, text)| text).collect();
            assert_eq!(of_kind, expected, "{text}");
        }
    }

    #[test]
    fn entities_do_not_overlap() {
        assert_eq!(
            found("Write to a@example.com about https://a@example.com/2025-01-01"),
            [("email", "a@example.com".to_owned()), ("url", "https://a@example.com/2025-01-01".to_owned())]
        );
    }

    #[test]
    fn repeated_entities_are_counted_and_located_at_their_first_occurrence() {
        let entities = entities("Ärger for Alan Turing. And Alan Turing again.");
        assert_eq!(entities, [Entity { kind: "name", text: "Alan Turing".into(), count: 2, offset: 10 }]);
    }
}
