use std::collections::HashMap;

use serde_json::Value;

use super::limits::{CHANGES_BYTES_MAX, VALUE_NESTING_MAX, VALUES_BYTES_MAX};
use crate::record::{ChangeRef, End, Record, StoredChange, StoredEdit, StoredValue};

/// The size of a value with its references resolved.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// The approximate number of bytes as JSON.
    bytes: u64,
    nesting: usize,
}

/// The sizes of the outputs and state changes of a run's steps, computed without resolving
/// references.
#[derive(Default)]
pub(super) struct Sizes<'r> {
    outputs: HashMap<&'r str, Size>,
    changes: HashMap<&'r str, Vec<Size>>,
    /// The total size of all values.
    values_bytes: u64,
    /// The total size of the state changes with references. Reading a run copies these changes.
    changes_bytes: u64,
}

impl<'r> Sizes<'r> {
    /// Adds the values in the next record.
    pub(super) fn check(&mut self, record: &'r Record) -> Result<(), String> {
        match record {
            Record::Ended { path, end: End::Completed { output, changes }, .. } => {
                let changed = self.sizes_of(changes)?;
                // A reference to a step means the values recorded at the step's first end.
                self.changes.entry(path).or_insert(changed);
                let size = self.size_of(output)?;
                self.outputs.entry(path).or_insert(size);
                self.add(size)
            }
            Record::Closed { end: End::Completed { output, changes }, .. } => {
                self.sizes_of(changes)?;
                let size = self.size_of(output)?;
                self.add(size)
            }
            Record::Redefined(redefined) => {
                let mut changes = redefined.migrated.iter().flat_map(|migrated| migrated.changes.values());
                changes.try_for_each(|changes| self.sizes_of(changes).map(drop))
            }
            _ => Ok(()),
        }
    }

    fn sizes_of(&mut self, changes: &[StoredChange]) -> Result<Vec<Size>, String> {
        let mut sizes = Vec::with_capacity(changes.len());
        for change in changes {
            let size = match &change.edit {
                StoredEdit::Value(value) => {
                    let size = self.size_of(value)?;
                    if !matches!(value, StoredValue::Value(_)) {
                        self.add_copied(size)?;
                    }
                    size
                }
                StoredEdit::Grown { list, .. } => self.size_of(list)?,
                StoredEdit::Same(change) => self.changed(change),
                StoredEdit::Append { items, onto, .. } => {
                    let onto = onto.as_ref().map(|onto| self.changed(onto)).unwrap_or_default();
                    onto.beside(self.size_of(items)?)
                }
            };
            self.add(size)?;
            sizes.push(size);
        }
        Ok(sizes)
    }

    fn size_of(&self, stored: &StoredValue) -> Result<Size, String> {
        let size = match stored {
            StoredValue::Value(value) => size_of(value, 0)?,
            // References without a target, or to a value outside the record, are reported when the
            // records are read.
            StoredValue::OutputOf(path) => self.outputs.get(path.as_str()).copied().unwrap_or_default(),
            StoredValue::Apart(_) => Size::default(),
            // Masks are replaced with this program's own secrets.
            StoredValue::Masked(masked) => self.size_of(&masked.value)?,
            StoredValue::Changed(change) => self.changed(change),
            StoredValue::Object(fields) => {
                let mut all = Size { bytes: 2, nesting: 0 };
                for (name, stored) in fields {
                    all = all.beside(self.size_of(stored)?);
                    all.bytes = all.bytes.saturating_add(name.len() as u64 + 4);
                }
                all.nested()
            }
            StoredValue::List(items) => {
                let mut all = Size { bytes: 2, nesting: 0 };
                for stored in items {
                    all = all.beside(self.size_of(stored)?);
                }
                all.nested()
            }
        };
        check_nesting(size.nesting)?;
        Ok(size)
    }

    fn changed(&self, ChangeRef(path, number): &ChangeRef) -> Size {
        self.changes.get(path.as_str()).and_then(|sizes| sizes.get(*number)).copied().unwrap_or_default()
    }

    fn add(&mut self, size: Size) -> Result<(), String> {
        self.values_bytes = self.values_bytes.saturating_add(size.bytes);
        check_bytes("outputs and state changes", self.values_bytes, VALUES_BYTES_MAX, "VALUES_BYTES_MAX")
    }

    fn add_copied(&mut self, size: Size) -> Result<(), String> {
        self.changes_bytes = self.changes_bytes.saturating_add(size.bytes);
        check_bytes("state changes", self.changes_bytes, CHANGES_BYTES_MAX, "CHANGES_BYTES_MAX")
    }
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes).saturating_add(1),
            nesting: self.nesting.max(other.nesting),
        }
    }

    fn nested(self) -> Self {
        Self { nesting: self.nesting + 1, ..self }
    }
}

fn size_of(value: &Value, depth: usize) -> Result<Size, String> {
    check_nesting(depth)?;
    let mut all = Size { bytes: 2, nesting: 0 };
    Ok(match value {
        Value::String(text) => Size { bytes: text.len() as u64 + 2, nesting: 0 },
        Value::Array(items) => {
            for item in items {
                all = all.beside(size_of(item, depth + 1)?);
            }
            all.nested()
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                all = all.beside(size_of(field, depth + 1)?);
                all.bytes = all.bytes.saturating_add(name.len() as u64 + 4);
            }
            all.nested()
        }
        _ => Size { bytes: 4, nesting: 0 },
    })
}

fn check_nesting(nesting: usize) -> Result<(), String> {
    if nesting <= VALUE_NESTING_MAX {
        return Ok(());
    }
    Err(format!("a value nested {nesting} levels deep exceeds the limit `VALUE_NESTING_MAX` of {VALUE_NESTING_MAX}"))
}

fn check_bytes(what: &str, bytes: u64, max: u64, limit: &str) -> Result<(), String> {
    if bytes <= max {
        return Ok(());
    }
    Err(format!("the {what} of all steps, with references replaced, exceed the limit `{limit}` of {max} bytes"))
}
