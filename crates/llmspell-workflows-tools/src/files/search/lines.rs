use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use llmspell_workflows_basic::BytesForm;
use regex::Regex;
use serde_json::{Value, json};

use crate::files::entry::encoded;

/// The maximum length of a line in a match, in characters, or in bytes if the line is not UTF-8.
const LINE_CHARS_MAX: usize = 1000;

/// The number of bytes at the start of a file checked for a zero byte.
const BINARY_CHECK_BYTES: usize = 8 * 1024;

/// Returns whether a file looks binary because it has a zero byte near its start.
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
///
/// The pattern sees bytes that are not UTF-8 as U+FFFD. The lines of a match with such bytes are
/// listed as base64.
pub(super) fn search(path: &Path, content: &[u8], pattern: &Regex, context: usize, listed_max: usize) -> FileMatches {
    let (path, path_form) = encoded(path);
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').map(without_ending).collect();
    let mut found = FileMatches { listed: Vec::new(), total: 0 };
    for (index, line) in lines.iter().enumerate() {
        let line = String::from_utf8_lossy(line);
        let Some(position) = pattern.find(&line) else {
            continue;
        };
        found.total += 1;
        if found.listed.len() == listed_max {
            continue;
        }
        let (first, end) = (index.saturating_sub(context), (index + 1).saturating_add(context).min(lines.len()));
        let is_text = lines[first..end].iter().all(|line| std::str::from_utf8(line).is_ok());
        let form = if is_text { BytesForm::Text } else { BytesForm::Base64 };
        let around = |lines: &[&[u8]]| -> Vec<String> { lines.iter().map(|line| shown(line, form)).collect() };
        found.listed.push(json!({
            "path": path,
            "path_type": path_form.name(),
            "line": index + 1,
            "column": line[..position.start()].chars().count() + 1,
            "text": shown(lines[index], form),
            "before": around(&lines[first..index]),
            "after": around(&lines[index + 1..end]),
            "text_type": form.name(),
        }));
    }
    found
}

fn without_ending(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

/// Returns a line for the result; an ellipsis marks a truncated line.
fn shown(line: &[u8], form: BytesForm) -> String {
    if form == BytesForm::Base64 {
        return match line.get(..LINE_CHARS_MAX) {
            Some(start) if start.len() < line.len() => format!("{}…", STANDARD.encode(start)),
            _ => STANDARD.encode(line),
        };
    }
    let line = String::from_utf8_lossy(line);
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(content: impl AsRef<[u8]>, pattern: &str, context: usize, listed_max: usize) -> FileMatches {
        search(Path::new("p"), content.as_ref(), &Regex::new(pattern).unwrap(), context, listed_max)
    }

    #[test]
    fn matches_have_a_position_and_context_lines() {
        let found = find("a\r\né hit\nb\nhit hit", "hit", 1, 10);
        let expected = json!([
            {
                "path": "p", "path_type": "text", "line": 2, "column": 3, "text": "é hit", "before": ["a"],
                "after": ["b"], "text_type": "text",
            },
            {
                "path": "p", "path_type": "text", "line": 4, "column": 1, "text": "hit hit", "before": ["b"],
                "after": [], "text_type": "text",
            },
        ]);
        assert_eq!((json!(found.listed), found.total), (expected, 2));
        let bounded = find("x\nx\nx", "x", 0, 1);
        assert_eq!((bounded.listed.len(), bounded.total), (1, 3));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_line() {
        let found = find("\u{feff}hit", "^hit$", 0, 1);
        assert_eq!((&found.listed[0]["column"], &found.listed[0]["text"]), (&json!(1), &json!("hit")));
    }

    #[test]
    fn non_utf8_lines_are_returned_as_base64() {
        let found = find(b"caf\xe9\nhit\n\xe9 hit", "hit", 1, 10);
        let lines =
            |at: usize| (&found.listed[at]["before"][0], &found.listed[at]["text"], &found.listed[at]["text_type"]);
        assert_eq!(lines(0), (&json!("Y2Fm6Q=="), &json!("aGl0"), &json!("base64")));
        assert_eq!(lines(1), (&json!("aGl0"), &json!("6SBoaXQ="), &json!("base64")));
        assert_eq!(found.listed[1]["column"], 3);
        let long = find([b"\xff".repeat(1001), b"x".to_vec()].concat(), "x", 0, 1);
        assert_eq!(long.listed[0]["text"], format!("{}…", STANDARD.encode(b"\xff".repeat(1000))));
    }

    #[test]
    fn long_lines_are_truncated_and_binary_content_is_detected() {
        let found = find("é".repeat(1001), "é", 0, 1);
        assert_eq!(found.listed[0]["text"], format!("{}…", "é".repeat(1000)));
        assert!(is_binary(b"a\0b") && !is_binary("é".as_bytes()) && !is_binary(b""));
    }
}
