//! Masks the values of secrets in all recorded or shown data.
//!
//! A run uses the values themselves. Whenever data leaves the run for a record, an event, an error,
//! a log line or its caller, a [`Masker`] replaces each form of each secret with `***`.

mod cut;
mod forms;
mod noted;
mod settled;
mod shared;
mod wrapped;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::Arc,
};

use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

pub use forms::SECRET_BYTES_MIN;
pub use noted::{MaskNote, NotRestored};
pub(crate) use shared::SharedMasking;

use cut::CutEnds;
use forms::Form;
use wrapped::Wrapped;

use crate::{StepError, engine::SkipReason, state::SharedValue};

/// The text that replaces a secret.
pub const MASK: &str = "***";

/// The field names in step outputs. They are never masked, even if a secret has the same text.
const OUTPUT_FIELDS: [&str; 21] = [
    "attempt",
    "body",
    "body_type",
    "code",
    "content",
    "error",
    "exit_code",
    "headers",
    "items",
    "message",
    "output",
    "result",
    "results",
    "status",
    "stderr",
    "stderr_bytes_left_out",
    "stderr_type",
    "stdout",
    "stdout_bytes_left_out",
    "stdout_type",
    "value",
];

/// Finds the values of secrets in texts, in all their forms.
///
/// Every occurrence of every form is masked as a whole, even if occurrences overlap, so the result
/// does not depend on the order of the secrets. Where an ellipsis marks truncated text, the
/// adjacent remainder of a form is also masked.
#[derive(Clone, Default)]
pub struct Masker {
    search: Option<Arc<Search>>,
    /// Field names that are kept even if they contain a secret.
    fields: Arc<BTreeSet<String>>,
}

struct Search {
    forms: AhoCorasick,
    /// The secret's name and the form, by pattern number, sorted by the form's text.
    found: Vec<(String, Form)>,
    cut: CutEnds,
    wrapped: Wrapped,
    values: BTreeMap<String, Vec<Form>>,
    /// The length of the longest form in bytes.
    longest: usize,
}

/// An occurrence of a form, or of a part of it, in a text.
struct Occurrence {
    bytes: Range<usize>,
    /// The number of the pattern.
    form: usize,
    /// The number of bytes of the form that are missing before the occurrence.
    skipped: usize,
}

/// A part of a text occupied by secrets.
struct Found {
    bytes: Range<usize>,
    /// The parts of forms that together make up the text.
    parts: Vec<(usize, Range<usize>)>,
}

impl Masker {
    /// Creates a masker for the secrets with these names and values. Values that
    /// are too short are ignored.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let secrets: BTreeMap<&str, &str> = secrets.into_iter().filter(|(_, value)| !is_too_short(value)).collect();
        if secrets.is_empty() {
            return Self::default();
        }
        let values: BTreeMap<String, Vec<Form>> =
            secrets.into_iter().map(|(name, value)| (name.to_owned(), forms::of(value))).collect();
        let mut found: BTreeMap<&str, (&String, &Form)> = BTreeMap::new();
        for (name, forms) in &values {
            for form in forms {
                found.entry(&form.text).or_insert((name, form));
            }
        }
        let found: Vec<_> = found.into_values().map(|(name, form)| (name.clone(), form.clone())).collect();
        let forms = automaton(found.iter().map(|(_, form)| &*form.text));
        let (cut, wrapped) = (CutEnds::new(&found), Wrapped::new(&found));
        let longest = found.iter().map(|(_, form)| form.text.len()).max().unwrap_or_default();
        Self { search: Some(Arc::new(Search { forms, found, cut, wrapped, values, longest })), fields: Arc::default() }
    }

    /// Returns the same masker, except that it keeps field names that equal one of `fields`.
    #[must_use]
    pub fn keeping(&self, fields: BTreeSet<String>) -> Self {
        Self { search: self.search.clone(), fields: Arc::new(fields) }
    }

    /// Returns whether there is nothing to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// Returns the name of a secret that `text` contains in some form.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&str> {
        let search = self.search.as_ref()?;
        let whole = search.forms.find(text).map(|found| found.pattern().as_usize());
        let part = || Some(search.cut.find(text, &search.found).first()?.form);
        let form = whole.or_else(part).or_else(|| Some(search.wrapped.find(text).first()?.form))?;
        Some(&search.found[form].0)
    }

    /// Returns the name of a secret that `value` contains in some form.
    #[must_use]
    pub fn find_in(&self, value: &Value) -> Option<&str> {
        self.search.as_ref()?;
        match value {
            Value::String(text) => self.find(text),
            Value::Number(number) => self.find(&number.to_string()),
            Value::Array(items) => items.iter().find_map(|item| self.find_in(item)),
            Value::Object(fields) => {
                fields.iter().find_map(|(name, item)| self.find_in_name(name).or_else(|| self.find_in(item)))
            }
            Value::Null | Value::Bool(_) => None,
        }
    }

    fn find_in_name(&self, name: &str) -> Option<&str> {
        self.find(name).filter(|_| !self.keeps(name))
    }

    fn keeps(&self, name: &str) -> bool {
        OUTPUT_FIELDS.contains(&name) || self.fields.contains(name)
    }

    /// Returns `text` with all secrets masked.
    #[must_use]
    pub fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.occurrences(text).as_slice() {
            [] => Cow::Borrowed(text),
            found => Cow::Owned(replaced(text, found).0),
        }
    }

    /// Returns whether `text` ends with the beginning of a secret in some form, so that more text
    /// may complete it. Line breaks within base64 are ignored.
    #[must_use]
    pub fn may_continue(&self, text: &str) -> bool {
        self.search.as_ref().is_some_and(|search| search.cut.is_begun(text, &search.found))
    }

    /// Returns the number of bytes at the beginning of `text` that cannot become part of a secret
    /// when more text follows. These bytes can be masked and shown alone.
    #[must_use]
    pub fn settled(&self, text: &str) -> usize {
        let of = |search: &Arc<Search>| settled::settled(text, search, &self.occurrences(text));
        self.search.as_ref().map_or(text.len(), of)
    }

    /// Masks all secrets in `text`.
    pub fn mask_text(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.masked(text) {
            *text = masked;
        }
    }

    /// Masks all secrets in `value`.
    ///
    /// Field names are also masked, unless they are field names of outputs or are kept
    /// ([`Self::keeping`]). Fields remain distinct.
    pub fn mask(&self, value: &mut Value) {
        if self.find_in(value).is_some() {
            self.note_masks(value, &mut String::new(), &mut Vec::new());
        }
    }

    /// Returns `value` with all secrets masked; a value without secrets is shared.
    #[must_use]
    pub fn masked_value(&self, value: &SharedValue) -> SharedValue {
        SharedMasking::new(self).mask(value)
    }

    /// Returns an error with all secrets masked.
    #[must_use]
    pub fn masked_error(&self, mut error: StepError) -> StepError {
        if !self.is_empty() {
            self.mask_text(&mut error.message);
            error.details.iter_mut().for_each(|details| self.mask(details));
            error.cause = error.cause.map(|cause| Box::new(self.masked_error(*cause)));
        }
        error
    }

    /// Returns a reason with all secrets masked.
    #[must_use]
    pub fn masked_reason(&self, mut reason: SkipReason) -> SkipReason {
        self.mask_text(&mut reason.message);
        reason
    }

    /// Returns the parts of `text` occupied by secrets, in order. Overlapping
    /// occurrences form one part.
    fn occurrences(&self, text: &str) -> Vec<Found> {
        let Some(search) = &self.search else { return Vec::new() };
        let mut all = search.cut.find(text, &search.found);
        all.extend(search.wrapped.find(text));
        if search.forms.is_match(text) {
            all.extend(search.forms.find_overlapping_iter(text).map(|found| Occurrence {
                bytes: found.range(),
                form: found.pattern().as_usize(),
                skipped: 0,
            }));
        }
        all.sort_unstable_by_key(|one| (one.bytes.start, std::cmp::Reverse(one.bytes.end), one.form));
        let mut parts: Vec<Found> = Vec::new();
        for Occurrence { bytes, form, skipped } in all {
            let of_form = |from: usize| (form, skipped + from - bytes.start..skipped + bytes.len());
            match parts.last_mut() {
                Some(last) if bytes.end <= last.bytes.end => {}
                Some(last) if bytes.start < last.bytes.end => {
                    last.parts.push(of_form(last.bytes.end));
                    last.bytes.end = bytes.end;
                }
                _ => parts.push(Found { parts: vec![of_form(bytes.start)], bytes }),
            }
        }
        parts
    }
}

/// Returns an automaton that finds all `patterns`, even if they overlap.
fn automaton<'p>(patterns: impl Iterator<Item = &'p str>) -> AhoCorasick {
    AhoCorasick::new(patterns).expect("the size of an environment is far below the limits of the automaton")
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.search.iter().flat_map(|search| search.values.keys());
        f.debug_set().entries(names).finish()
    }
}

/// Returns whether a secret with this value is too short to be masked.
#[must_use]
pub fn is_too_short(value: &str) -> bool {
    value.trim().len() < SECRET_BYTES_MIN
}

/// Returns the message of the error `secret_too_short` about the secret `name`.
#[must_use]
pub fn too_short(name: &str) -> String {
    format!("the secret `{name}` is too short to be masked: it has fewer than {SECRET_BYTES_MIN} bytes")
}

/// Returns `text` with each part replaced by a mask, and the position of each mask in the result.
fn replaced(text: &str, found: &[Found]) -> (String, Vec<usize>) {
    let (mut masked, mut at, mut from) = (String::with_capacity(text.len()), Vec::new(), 0);
    for part in found {
        masked.push_str(&text[from..part.bytes.start]);
        at.push(masked.len());
        masked.push_str(MASK);
        from = part.bytes.end;
    }
    masked.push_str(&text[from..]);
    (masked, at)
}

/// Collects all words in the field names and texts of `value`, a definition, because data that the
/// definition creates needs these words as field names.
pub(crate) fn words(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            into.extend(text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, into)),
        Value::Object(fields) => {
            for (name, item) in fields {
                into.insert(name.clone());
                words(item, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Adds `item` as `name`, or under another name if a field with that name already exists.
fn insert_distinct(fields: &mut Map<String, Value>, name: String, item: Value) -> String {
    let mut distinct = name.clone();
    let mut number = 2;
    while fields.contains_key(&distinct) {
        distinct = format!("{name} ({number})");
        number += 1;
    }
    fields.insert(distinct.clone(), item);
    distinct
}
