//! State changes in records, which can refer to values that earlier steps stored in the state.

use std::{collections::HashMap, sync::Arc};

use llmspell_workflows_basic::state::{Append, Change, Edit, List, SharedValue, StatePath};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KnownValues, StoredValue};

/// A state change in a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredChange {
    /// The part of the state that changes.
    pub path: StatePath,
    /// The edit to that part.
    #[serde(flatten)]
    pub edit: StoredEdit,
}

/// A recorded edit of a part of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredEdit {
    /// Sets the part to this value.
    Value(StoredValue),
    /// Appends to a list: keeps the items before `at` and adds `items` after them.
    Append {
        /// The number of items to keep.
        at: usize,
        /// The new items, as a list.
        items: StoredValue,
        /// The change that created the extended list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onto: Option<ChangeRef>,
    },
    /// Appends to a list whose earlier items are not recorded: the whole list is stored.
    Grown {
        /// The number of earlier items.
        at: usize,
        /// All items.
        list: StoredValue,
    },
    /// Sets the part to the result of another step's change.
    Same(ChangeRef),
}

/// A reference to a state change: the path of the step that made it, and its index among the step's changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChangeRef(pub String, pub usize);

impl StoredChange {
    /// Returns the change with its values inline, without references.
    pub(crate) fn whole(change: &Change) -> Self {
        let edit = match (&change.edit, change.after()) {
            (Edit::Set(value), _) => StoredEdit::Value(StoredValue::Value(value.clone())),
            (Edit::Append(append), Some(after)) => {
                StoredEdit::Grown { at: append.at(), list: StoredValue::Value(after.to_arc()) }
            }
            (Edit::Append(append), None) => append_edit(append, None),
        };
        Self { path: change.path.clone(), edit }
    }

    /// Returns the value in the change.
    pub(crate) fn value(&self) -> Option<&StoredValue> {
        match &self.edit {
            StoredEdit::Value(stored)
            | StoredEdit::Append { items: stored, .. }
            | StoredEdit::Grown { list: stored, .. } => Some(stored),
            StoredEdit::Same(_) => None,
        }
    }

    /// Returns the other step's change that this change refers to.
    pub(crate) fn refers_to(&self) -> Option<&ChangeRef> {
        match &self.edit {
            StoredEdit::Same(at) | StoredEdit::Append { onto: Some(at), .. } => Some(at),
            _ => None,
        }
    }

    /// Returns the value in the change.
    pub(crate) fn value_mut(&mut self) -> Option<&mut StoredValue> {
        match &mut self.edit {
            StoredEdit::Value(stored)
            | StoredEdit::Append { items: stored, .. }
            | StoredEdit::Grown { list: stored, .. } => Some(stored),
            StoredEdit::Same(_) => None,
        }
    }

    /// Returns whether the change has no references.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.edit {
            StoredEdit::Value(stored) | StoredEdit::Grown { list: stored, .. } => stored.is_whole(),
            StoredEdit::Append { .. } | StoredEdit::Same(_) => false,
        }
    }
}

fn append_edit(append: &Append, onto: Option<ChangeRef>) -> StoredEdit {
    let items = StoredValue::Value(Arc::new(Value::Array(append.items().to_vec())));
    StoredEdit::Append { at: append.at(), items, onto }
}

/// The values that steps stored in the state.
#[derive(Debug, Default)]
pub(crate) struct StateChanges {
    by_path: foldhash::HashMap<String, Vec<Option<SharedValue>>>,
    /// The changes that created lists, by the address of the list.
    by_address: HashMap<usize, ChangeRef>,
}

/// The changes of the step being recorded; the step's output can refer to them.
#[derive(Default)]
pub(super) struct OwnChanges<'a> {
    path: &'a str,
    changes: &'a [Change],
}

impl OwnChanges<'_> {
    /// Returns the change that stored `value` in the state.
    pub(super) fn find(&self, value: &SharedValue) -> Option<ChangeRef> {
        let left = |change: &Change| change.after().is_some_and(|after| after.address() == value.address());
        let number = self.changes.iter().position(left)?;
        Some(ChangeRef(self.path.to_owned(), number))
    }
}

impl StateChanges {
    /// Adds the values that the step at `path` stored in the state; only the first end of a step
    /// counts.
    pub(super) fn add(&mut self, path: &str, changes: &[Change]) {
        if changes.is_empty() || self.by_path.contains_key(path) {
            return;
        }
        let left: Vec<_> = changes.iter().map(Change::after).collect();
        for (number, value) in left.iter().enumerate() {
            if let Some(value) = value.as_ref().filter(|value| value.list().is_some() || value.is_array()) {
                let change_ref = || ChangeRef(path.to_owned(), number);
                self.by_address.entry(value.address()).or_insert_with(change_ref);
            }
        }
        self.by_path.insert(path.to_owned(), left);
    }

    /// Returns the changes of the step being recorded at `path`; the result is empty if earlier
    /// changes are already known under that path.
    pub(super) fn of_step<'a>(&self, path: &'a str, changes: &'a [Change]) -> OwnChanges<'a> {
        let changes: &[Change] = if self.by_path.contains_key(path) { &[] } else { changes };
        OwnChanges { path, changes }
    }

    /// Returns the change that stored the list `value` in the state.
    pub(super) fn find(&self, value: &SharedValue) -> Option<&ChangeRef> {
        self.by_address.get(&value.address())
    }

    pub(super) fn has(&self, change_ref: &ChangeRef) -> bool {
        self.by_path.get(&change_ref.0).is_some_and(|left| left.get(change_ref.1).is_some())
    }

    pub(super) fn get(&self, change_ref: &ChangeRef) -> Result<SharedValue, String> {
        let left = self.by_path.get(&change_ref.0).and_then(|left| left.get(change_ref.1)).cloned().flatten();
        left.ok_or_else(|| format!("{} (change {})", change_ref.0, change_ref.1))
    }

    /// Returns the list stored by change `number` of the step at `path`, if its items starting at
    /// `at` equal `items`.
    fn find_list(&self, path: &str, number: usize, at: usize, items: &[Value]) -> Option<&List> {
        let list = self.by_path.get(path)?.get(number)?.as_ref()?.list()?;
        (list.at() == at && **list.added() == *items).then_some(list)
    }
}

impl KnownValues {
    /// Returns the recorded form of `change`.
    pub(super) fn store_change(&self, change: &Change, gathers: bool) -> StoredChange {
        let Edit::Append(append) = &change.edit else {
            let edit = match change.after() {
                Some(after) if gathers && self.changed.find(&after).is_some() => {
                    self.changed.find(&after).cloned().map(StoredEdit::Same)
                }
                Some(after) => Some(StoredEdit::Value(self.store_value(&after, &OwnChanges::default(), gathers))),
                None => None,
            };
            return edit
                .map_or_else(|| StoredChange::whole(change), |edit| StoredChange { path: change.path.clone(), edit });
        };
        let after = change.after();
        let same = after.as_ref().and_then(|after| self.changed.find(after));
        let onto = || self.changed.find(&after.as_ref()?.list()?.before()).cloned();
        let edit = match (same, onto()) {
            (Some(same), _) => StoredEdit::Same(same.clone()),
            (None, Some(onto)) => append_edit(append, Some(onto)),
            // A reader would not know which list was extended.
            (None, None) => return StoredChange::whole(change),
        };
        StoredChange { path: change.path.clone(), edit }
    }

    /// Returns the recorded changes of the step at `path`, with references resolved.
    pub(crate) fn changes(&self, path: &str, stored: &[StoredChange]) -> Result<Vec<Change>, String> {
        stored.iter().enumerate().map(|(number, change)| self.change(path, number, change)).collect()
    }

    fn change(&self, step: &str, number: usize, stored: &StoredChange) -> Result<Change, String> {
        let path = stored.path.clone();
        let edit = match &stored.edit {
            StoredEdit::Value(value) => Edit::Set(self.value(value)?.to_arc()),
            StoredEdit::Same(change_ref) => {
                let left = self.changed.get(change_ref)?;
                match left.list() {
                    Some(list) => Edit::Append(list.clone().into()),
                    None => Edit::Set(left.to_arc()),
                }
            }
            StoredEdit::Append { at, items, onto } => {
                let items: Arc<[Value]> = as_items(&self.value(items)?).into();
                let before = onto.as_ref().map(|onto| self.changed.get(onto)).transpose()?;
                Edit::Append(self.append(step, number, *at, before, items))
            }
            StoredEdit::Grown { at, list } => {
                let whole = self.value(list)?;
                let (before, items) = as_items(&whole).split_at_checked(*at).unwrap_or_default();
                let before = SharedValue::from(Value::Array(before.to_vec()));
                Edit::Append(self.append(step, number, *at, Some(before), items.into()))
            }
        };
        Ok(Change { path, edit })
    }

    /// Returns the append that change `number` of `step` makes to `before`; uses the resulting list if it is known.
    fn append(&self, step: &str, number: usize, at: usize, before: Option<SharedValue>, items: Arc<[Value]>) -> Append {
        let known = self.changed.find_list(step, number, at, &items).cloned();
        let rebuilt = || List::after(&before?, items.clone()).filter(|list| list.at() == at);
        known.or_else(rebuilt).map_or_else(|| Append::new(at, items.clone()), Append::from)
    }
}

fn as_items(value: &SharedValue) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_basic::{WorkflowState, engine::Output};
    use serde_json::json;

    use super::*;
    use crate::record::End;

    /// Returns the output of a `set` step that sets the list `list` to `whole`.
    fn set(state: &mut WorkflowState, whole: Value) -> Output {
        let change = state.shortened(Change::key("list", whole));
        state.apply(change.clone(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let value = SharedValue::object(vec![("list".to_owned(), change.after().unwrap())]);
        Output { value, state_changes: vec![change] }
    }

    /// Records that the step at `path` completed with `output`; returns the record as JSON.
    fn record(known: &mut KnownValues, path: &str, output: &Output, gathers: bool) -> Value {
        let end = known.store(Some(path), output, gathers);
        known.add(path, output);
        json!(end)
    }

    #[test]
    fn a_growing_list_is_recorded_as_its_new_items_and_read_back_whole() {
        let (mut known, mut state) = (KnownValues::default(), WorkflowState::default());
        let mut ends = Vec::new();
        let mut outputs = Vec::new();
        for number in 0..50 {
            let whole = Value::Array((0..=number).map(|n| json!(format!("item {n}"))).collect());
            let output = set(&mut state, whole);
            let path = format!("/main/lp[{number}]/app");
            ends.push((path.clone(), record(&mut known, &path, &output, false)));
            // The enclosing iteration has the same output and changes.
            let path = format!("/main/lp[{number}]");
            ends.push((path.clone(), record(&mut known, &path, &output, true)));
            outputs.push(output);
        }
        let length = |ends: &[(String, Value)]| ends.iter().map(|(_, end)| end.to_string().len()).sum::<usize>();
        assert!(
            length(&ends[60..]) < length(&ends[..40]) * 2,
            "{} bytes, {}",
            length(&ends[..40]),
            length(&ends[60..])
        );
        let all = Output {
            value: SharedValue::array(outputs.iter().map(|output| output.value.clone()).collect()),
            state_changes: outputs.iter().flat_map(|output| output.state_changes.clone()).collect(),
        };
        let end = record(&mut known, "/main", &all, true);
        assert!(end.to_string().len() < 50 * 120, "{end}");
        ends.push(("/main".to_owned(), end));

        let mut read = KnownValues::default();
        for (path, end) in &ends {
            let end: End = serde_json::from_value(end.clone()).unwrap();
            let End::Completed { output, changes } = &end else { panic!("{end:?}") };
            let state_changes = read.changes(path, changes).unwrap();
            read.note_changes(path, &state_changes);
            let output = Output { value: read.value(output).unwrap(), state_changes };
            read.add(path, &output);
            if path == "/main" {
                assert_eq!(output, all);
                assert_eq!(output.state_changes[49].after(), all.state_changes[49].after());
            }
        }
        // Values read from records are found again, so a resumed run appends to them.
        let changes = read.changes("/main/lp[49]/app", &stored_changes(&ends[98].1)).unwrap();
        assert_eq!(read.changed.find(&changes[0].after().unwrap()), Some(&ChangeRef("/main/lp[49]/app".into(), 0)));
    }

    fn stored_changes(end: &Value) -> Vec<StoredChange> {
        serde_json::from_value(end["completed"]["changes"].clone()).unwrap()
    }

    #[test]
    fn appending_to_an_unrecorded_list_records_the_whole_list() {
        let mut state = WorkflowState::default();
        state.set("list", json!([1])).unwrap();
        let output = set(&mut state, json!([1, 2]));
        let end = record(&mut KnownValues::default(), "/main/a", &output, false);
        let expected = json!({"completed": {
            "output": {"o": [["list", {"c": ["/main/a", 0]}]]},
            "changes": [{"path": "list", "grown": {"at": 1, "list": {"v": [1, 2]}}}],
        }});
        assert_eq!(end, expected);
    }

    #[test]
    fn error_names_a_dangling_reference_to_a_change() {
        let stored =
            StoredChange { path: "list".parse().unwrap(), edit: StoredEdit::Same(ChangeRef("/main/x".into(), 1)) };
        assert_eq!(KnownValues::default().changes("/main/y", &[stored]), Err("/main/x (change 1)".to_owned()));
    }
}
