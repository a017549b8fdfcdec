//! Masks that can later be replaced by their secrets.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Found, MASK, Masker, insert_distinct, replaced};

/// A note that identifies the text behind a mask in a recorded value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskNote {
    /// The JSON pointer to the value or the field that contains the mask.
    at: String,
    /// The kind of the text that contains the mask.
    #[serde(default, rename = "in", skip_serializing_if = "MaskPlace::is_text")]
    place: MaskPlace,
    /// The position of the mask in the text, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    from: usize,
    /// The parts that the mask represents, in order; for a field name, the parts of the whole name.
    parts: Vec<MaskedPart>,
}

/// A part of the text behind a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MaskedPart {
    /// Text that is not secret.
    Text(String),
    /// A secret in one of its forms.
    Secret(String, String),
    /// A byte range of a secret in one of its forms.
    PartOf(String, String, Range<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MaskPlace {
    /// A string value.
    #[default]
    Text,
    /// A number, recorded as a string.
    Number,
    /// The name of a field.
    Name,
}

impl MaskNote {
    /// Makes the note refer to a mask in value `number` of several values.
    #[must_use]
    pub fn within(self, number: usize) -> Self {
        Self { at: format!("/{number}{}", self.at), ..self }
    }

    /// Makes the note refer to value `number` alone; returns `None` if the note is about another
    /// value.
    #[must_use]
    pub fn of_value(&self, number: usize) -> Option<Self> {
        let at = self.at.strip_prefix(&format!("/{number}"))?;
        (at.is_empty() || at.starts_with('/')).then(|| Self { at: at.to_owned(), ..self.clone() })
    }
}

impl MaskPlace {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// Why a mask cannot be replaced by its secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRestored {
    /// The secret has no value in this process.
    #[error("the secret `{0}` has no value")]
    Missing(String),
    /// The secret no longer has the recorded form.
    #[error("the value of the secret `{0}` has changed")]
    Changed(String),
    /// The note does not match the value.
    #[error("the mask note at `{0}` does not match the value")]
    Unfit(String),
}

impl NotRestored {
    /// Returns the stable error code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "secret_not_restored"
    }
}

impl Masker {
    /// Masks all secrets in `value`; returns a note about each mask.
    pub fn mask_noting(&self, value: &mut Value) -> Vec<MaskNote> {
        let mut notes = Vec::new();
        if self.find_in(value).is_some() {
            self.note_masks(value, &mut String::new(), &mut notes);
        }
        notes
    }

    /// Replaces the masks in `value` with the current values of the secrets that they represent.
    ///
    /// # Errors
    /// Fails if a secret has no value, or no longer has the recorded form. Even then, some masks in
    /// `value` may have been replaced.
    pub fn restore(&self, value: &mut Value, notes: &[MaskNote]) -> Result<(), NotRestored> {
        // Notes are created from the outside in and from left to right, so they are applied in the
        // reverse order.
        notes.iter().rev().try_for_each(|note| self.restore_one(value, note))
    }

    pub(super) fn note_masks(&self, value: &mut Value, at: &mut String, notes: &mut Vec<MaskNote>) {
        match value {
            Value::String(text) => {
                if let Some(masked) = self.noted(text, at, MaskPlace::Text, notes) {
                    *text = masked;
                }
            }
            Value::Number(number) => {
                if let Some(masked) = self.noted(&number.to_string(), at, MaskPlace::Number, notes) {
                    *value = Value::String(masked);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter_mut().enumerate() {
                    below(at, &number.to_string(), |at| self.note_masks(item, at, notes));
                }
            }
            Value::Object(fields) => {
                if fields.keys().any(|name| self.find_in_name(name).is_some()) {
                    *fields = self.with_masked_names(std::mem::take(fields), at, notes);
                }
                for (name, item) in fields.iter_mut() {
                    below(at, name, |at| self.note_masks(item, at, notes));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn with_masked_names(
        &self,
        fields: Map<String, Value>,
        at: &mut String,
        notes: &mut Vec<MaskNote>,
    ) -> Map<String, Value> {
        let (secret, mut masked): (Vec<_>, Map<_, _>) = {
            let (secret, kept): (Vec<_>, Vec<_>) =
                fields.into_iter().partition(|(name, _)| self.find_in_name(name).is_some());
            (secret, kept.into_iter().collect())
        };
        for (name, item) in secret {
            let found = self.occurrences(&name);
            let mut parts = Vec::new();
            let mut from = 0;
            for part in &found {
                parts.push(MaskedPart::Text(name[from..part.bytes.start].to_owned()));
                parts.extend(self.parts(part));
                from = part.bytes.end;
            }
            parts.push(MaskedPart::Text(name[from..].to_owned()));
            parts.retain(|part| *part != MaskedPart::Text(String::new()));
            let shown = insert_distinct(&mut masked, replaced(&name, &found).0, item);
            below(at, &shown, |at| {
                notes.push(MaskNote { at: at.clone(), place: MaskPlace::Name, from: 0, parts });
            });
        }
        masked
    }

    /// Returns `text` with its secrets masked, or `None` if it contains none.
    fn noted(&self, text: &str, at: &str, place: MaskPlace, notes: &mut Vec<MaskNote>) -> Option<String> {
        let found = self.occurrences(text);
        if found.is_empty() {
            return None;
        }
        let (masked, begins) = replaced(text, &found);
        let note = |(found, from)| MaskNote { at: at.to_owned(), place, from, parts: self.parts(found).collect() };
        notes.extend(found.iter().zip(begins).map(note));
        Some(masked)
    }

    fn parts<'f>(&'f self, found: &'f Found) -> impl Iterator<Item = MaskedPart> + 'f {
        let search = self.search.as_ref();
        found.parts.iter().filter_map(move |(form, bytes)| {
            let (secret, form) = &search?.found[*form];
            let (secret, label) = (secret.clone(), form.label.clone());
            let is_whole = *bytes == (0..form.text.len());
            Some(if is_whole {
                MaskedPart::Secret(secret, label)
            } else {
                MaskedPart::PartOf(secret, label, bytes.clone())
            })
        })
    }

    fn restore_one(&self, value: &mut Value, note: &MaskNote) -> Result<(), NotRestored> {
        let unfit = || NotRestored::Unfit(note.at.clone());
        let original = note.parts.iter().map(|part| self.part(part)).collect::<Result<String, _>>()?;
        if note.place == MaskPlace::Name {
            let (parent, name) = note.at.rsplit_once('/').ok_or_else(unfit)?;
            let fields = value.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(unfit)?;
            let item = fields.remove(&name.replace("~1", "/").replace("~0", "~")).ok_or_else(unfit)?;
            fields.insert(original, item);
            return Ok(());
        }
        let target = value.pointer_mut(&note.at).ok_or_else(unfit)?;
        let (before, rest) = target.as_str().and_then(|text| text.split_at_checked(note.from)).ok_or_else(unfit)?;
        let text = format!("{before}{original}{}", rest.strip_prefix(MASK).ok_or_else(unfit)?);
        *target = match note.place {
            MaskPlace::Number if text.contains(MASK) => Value::String(text),
            MaskPlace::Number => serde_json::from_str(&text).map_err(|_| unfit())?,
            MaskPlace::Text | MaskPlace::Name => Value::String(text),
        };
        Ok(())
    }

    /// Returns the text of a part of a mask.
    fn part<'p>(&'p self, part: &'p MaskedPart) -> Result<&'p str, NotRestored> {
        let (secret, label, bytes) = match part {
            MaskedPart::Text(text) => return Ok(text),
            MaskedPart::Secret(secret, label) => (secret, label, None),
            MaskedPart::PartOf(secret, label, bytes) => (secret, label, Some(bytes.clone())),
        };
        let forms = self.search.as_ref().and_then(|search| search.values.get(secret));
        let forms = forms.ok_or_else(|| NotRestored::Missing(secret.clone()))?;
        let form = forms.iter().find(|form| form.label == *label);
        let text = form.and_then(|form| bytes.map_or(Some(&*form.text), |bytes| form.text.get(bytes)));
        text.ok_or_else(|| NotRestored::Changed(secret.clone()))
    }
}

/// Calls `then` with the pointer to the part `name` of the value at `at`.
fn below(at: &mut String, name: &str, then: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
    then(at);
    at.truncate(length);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(from: &usize) -> bool {
    *from == 0
}
