//! Finds base64 of secrets that is broken into lines.

use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::{Occurrence, automaton, forms::Form};

/// Finds base64 that continues on the next line, no matter where the line breaks in a longer text
/// are.
pub(super) struct Wrapped {
    search: AhoCorasick,
    /// The form number, by pattern number.
    forms: Vec<usize>,
}

/// The start of a line, both in the text and in the same text without line breaks.
struct Line {
    begins: usize,
    begins_joined: usize,
}

impl Wrapped {
    pub(super) fn new(found: &[(String, Form)]) -> Self {
        let is_base64 = |form: &Form| form.label.starts_with("base64");
        let forms: Vec<usize> = (0..found.len()).filter(|number| is_base64(&found[*number].1)).collect();
        Self { search: automaton(forms.iter().map(|number| &*found[*number].1.text)), forms }
    }

    /// Returns the part on each line of every form that spans several lines.
    pub(super) fn find(&self, text: &str) -> Vec<Occurrence> {
        if !text.contains('\n') {
            return Vec::new();
        }
        let (mut joined, mut lines, mut begins) = (String::with_capacity(text.len()), Vec::new(), 0);
        for line in text.split_inclusive('\n') {
            lines.push(Line { begins, begins_joined: joined.len() });
            joined.push_str(line.trim_end_matches(['\n', '\r']));
            begins += line.len();
        }
        let mut found = Vec::new();
        for one in self.search.find_overlapping_iter(&joined) {
            let first = lines.partition_point(|line| line.begins_joined <= one.start()) - 1;
            let form = self.forms[one.pattern().as_usize()];
            let parts = lines[first..].iter().take_while(|line| line.begins_joined < one.end()).enumerate();
            let parts: Vec<_> = parts
                .filter_map(|(number, line)| part(line, lines.get(first + number + 1), one.range(), form))
                .collect();
            // A form that fits on one line is found without this search.
            found.extend(Some(parts).filter(|parts| parts.len() > 1).into_iter().flatten());
        }
        found
    }
}

/// Returns the part of an occurrence on `line`; `joined` is the occurrence's range in the text
/// without line breaks.
fn part(line: &Line, next: Option<&Line>, joined: Range<usize>, form: usize) -> Option<Occurrence> {
    let from = joined.start.max(line.begins_joined);
    let to = next.map_or(joined.end, |next| joined.end.min(next.begins_joined));
    let begins = line.begins + (from - line.begins_joined);
    (from < to).then(|| Occurrence { bytes: begins..begins + (to - from), form, skipped: from - joined.start })
}
