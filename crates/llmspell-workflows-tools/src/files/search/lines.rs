use regex::Regex;
use serde_json::{Value, json};

use crate::data::support::without_mark;

/// How many characters of a line a match shows.
const LINE_CHARS_MAX: usize = 1000;

/// How many bytes of a file are looked at to see whether it is text.
const LOOK_BYTES: usize = 8 * 1024;

/// Whether a file looks like something else than text: it has a zero byte near its start.
pub(super) fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(LOOK_BYTES)].contains(&0)
}

/// What was found in one file.
pub(super) struct Found {
    /// The matches that are listed.
    pub(super) listed: Vec<Value>,
    /// All lines that match.
    pub(super) total: usize,
}

/// The lines that match, each with the lines around it; `listed_max` of them are listed, all are counted.
pub(super) fn search(path: &str, text: &str, pattern: &Regex, context: usize, listed_max: usize) -> Found {
    let lines: Vec<&str> = without_mark(text).lines().collect();
    let mut found = Found { listed: Vec::new(), total: 0 };
    for (index, line) in lines.iter().enumerate() {
        let Some(place) = pattern.find(line) else {
            continue;
        };
        found.total += 1;
        if found.listed.len() == listed_max {
            continue;
        }
        let around =
            |from: usize, to: usize| -> Vec<String> { lines[from..to].iter().map(|line| shown(line)).collect() };
        found.listed.push(json!({
            "path": path,
            "line": index + 1,
            "column": line[..place.start()].chars().count() + 1,
            "text": shown(line),
            "before": around(index.saturating_sub(context), index),
            "after": around(index + 1, (index + 1).saturating_add(context).min(lines.len())),
        }));
    }
    found
}

fn shown(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_has_its_place_and_its_context() {
        let found = search("p", "a\r\né hit\nb\nhit hit", &Regex::new("hit").unwrap(), 1, 10);
        let expected = json!([
            {"path": "p", "line": 2, "column": 3, "text": "é hit", "before": ["a"], "after": ["b"]},
            {"path": "p", "line": 4, "column": 1, "text": "hit hit", "before": ["b"], "after": []},
        ]);
        assert_eq!((json!(found.listed), found.total), (expected, 2));
        let bounded = search("p", "x\nx\nx", &Regex::new("x").unwrap(), 0, 1);
        assert_eq!((bounded.listed.len(), bounded.total), (1, 3));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let found = search("p", "\u{feff}hit", &Regex::new("^hit$").unwrap(), 0, 1);
        assert_eq!((&found.listed[0]["column"], &found.listed[0]["text"]), (&json!(1), &json!("hit")));
    }

    #[test]
    fn long_lines_are_cut_and_binary_content_is_known() {
        let found = search("p", &"é".repeat(1001), &Regex::new("é").unwrap(), 0, 1);
        assert_eq!(found.listed[0]["text"], format!("{}…", "é".repeat(1000)));
        assert!(is_binary(b"a\0b") && !is_binary("é".as_bytes()) && !is_binary(b""));
    }
}
