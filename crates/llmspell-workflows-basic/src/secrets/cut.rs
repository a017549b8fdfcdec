//! Finds the remaining part of a secret in truncated text.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;

use super::{Occurrence, automaton, forms::Form};
use crate::secrets::SECRET_BYTES_MIN;

/// The ellipses that programs use to mark truncated text.
pub(super) const ELLIPSES: [&str; 2] = ["…", "..."];

/// The maximum number of bytes searched on each side of an ellipsis.
const SEARCHED_BYTES: usize = 4096;

/// Finds the beginning of a form before an ellipsis, and the end of a form after an ellipsis.
///
/// This program masks texts before truncating them, so this type handles texts truncated by a tool,
/// another program or a server.
pub(super) struct CutEnds {
    heads: Ends,
    tails: Ends,
}

/// The first or last bytes of forms, each with the forms that begin or end with them.
struct Ends {
    search: AhoCorasick,
    forms: Vec<Vec<usize>>,
}

impl Ends {
    fn new<'f>(ends: impl Iterator<Item = (usize, &'f str)>) -> Self {
        let mut by_text: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        ends.for_each(|(form, end)| by_text.entry(end).or_default().push(form));
        Self { search: automaton(by_text.keys().copied()), forms: by_text.into_values().collect() }
    }

    /// Returns where the ends occur in `text`, each with a form.
    fn find<'s>(&'s self, text: &'s str) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> + 's {
        let found = self.search.find_overlapping_iter(text);
        found.flat_map(|found| self.forms[found.pattern().as_usize()].iter().map(move |form| (found.range(), *form)))
    }
}

impl CutEnds {
    pub(super) fn new(forms: &[(String, Form)]) -> Self {
        let head = |text: &'_ str| (SECRET_BYTES_MIN..=text.len()).find(|at| text.is_char_boundary(*at));
        let tail =
            |text: &'_ str| (0..=text.len().saturating_sub(SECRET_BYTES_MIN)).rfind(|at| text.is_char_boundary(*at));
        let texts = || forms.iter().enumerate().map(|(number, (_, form))| (number, &*form.text));
        Self {
            heads: Ends::new(texts().filter_map(|(number, text)| Some((number, &text[..head(text)?])))),
            tails: Ends::new(texts().filter_map(|(number, text)| Some((number, &text[tail(text)?..])))),
        }
    }

    /// Returns the longest part of a form on each side of each ellipsis.
    pub(super) fn find(&self, text: &str, forms: &[(String, Form)]) -> Vec<Occurrence> {
        let mut found = Vec::new();
        for ellipsis in ELLIPSES {
            for (at, _) in text.match_indices(ellipsis) {
                found.extend(self.before(&text[..at], forms));
                found.extend(self.after(text, at + ellipsis.len(), forms));
            }
        }
        found
    }

    /// Returns whether `text` ends with the beginning of a longer form, even
    /// if line breaks are ignored.
    pub(super) fn is_begun(&self, text: &str, forms: &[(String, Form)]) -> bool {
        let near = text.floor_char_boundary(text.len().saturating_sub(SEARCHED_BYTES));
        let joined: String = text[near..].lines().collect();
        [&text[near..], &*joined].into_iter().any(|text| {
            let mut begins = self.heads.find(text);
            begins.any(|(bytes, form)| {
                let form = &*forms[form].1.text;
                form.len() > text.len() - bytes.start && form.starts_with(&text[bytes.start..])
            })
        })
    }

    fn before(&self, text: &str, forms: &[(String, Form)]) -> Option<Occurrence> {
        let near = text.floor_char_boundary(text.len().saturating_sub(SEARCHED_BYTES));
        let begins = self.heads.find(&text[near..]).map(|(bytes, form)| (near + bytes.start, form));
        let (from, form) = begins.filter(|(from, form)| forms[*form].1.text.starts_with(&text[*from..])).min()?;
        Some(Occurrence { bytes: from..text.len(), form, skipped: 0 })
    }

    fn after(&self, text: &str, from: usize, forms: &[(String, Form)]) -> Option<Occurrence> {
        let near = text.ceil_char_boundary((from + SEARCHED_BYTES).min(text.len()));
        let ends = self.tails.find(&text[from..near]).map(|(bytes, form)| (from + bytes.end, form));
        let rests = ends.filter(|(to, form)| forms[*form].1.text.ends_with(&text[from..*to]));
        let (to, form) = rests.max_by_key(|(to, form)| (*to, std::cmp::Reverse(*form)))?;
        Some(Occurrence { bytes: from..to, form, skipped: forms[form].1.text.len() - (to - from) })
    }
}
