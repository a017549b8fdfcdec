use regex::Regex;
use serde_json::{Value, json};

use crate::data::support::strip_byte_order_mark;

/// The maximum number of characters of a line that are included in a match.
const LINE_CHARS_MAX: usize = 1000;

/// The number of bytes at the start of a file that are checked for a zero byte.
const BINARY_CHECK_BYTES: usize = 8 * 1024;

/// Returns whether a file looks binary: it has a zero byte near its start.
pub(super) fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(BINARY_CHECK_BYTES)].contains(&0)
}

/// The matching lines of a file.
pub(super) struct FileMatches {
    /// The matches included in the result.
    pub(super) listed: Vec<Value>,
    /// The total number of matching lines.
    pub(super) total: usize,
}

/// Finds matching lines, each with its surrounding lines; lists up to `listed_max` matches and counts all of them.
pub(super) fn search(path: &str, text: &str, pattern: &Regex, context: usize, listed_max: usize) -> FileMatches {
    let lines: Vec<&str> = strip_byte_order_mark(text).lines().collect();
    let mut found = FileMatches { listed: Vec::new(), total: 0 };
    for (index, line) in lines.iter().enumerate() {
        let Some(position) = pattern.find(line) else {
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
            "column": line[..position.start()].chars().count() + 1,
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
    fn matches_have_a_position_and_context_lines() {
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
    fn a_byte_order_mark_is_not_part_of_the_first_line() {
        let found = search("p", "\u{feff}hit", &Regex::new("^hit$").unwrap(), 0, 1);
        assert_eq!((&found.listed[0]["column"], &found.listed[0]["text"]), (&json!(1), &json!("hit")));
    }

    #[test]
    fn long_lines_are_truncated_and_binary_content_is_detected() {
        let found = search("p", &"é".repeat(1001), &Regex::new("é").unwrap(), 0, 1);
        assert_eq!(found.listed[0]["text"], format!("{}…", "é".repeat(1000)));
        assert!(is_binary(b"a\0b") && !is_binary("é".as_bytes()) && !is_binary(b""));
    }
}
