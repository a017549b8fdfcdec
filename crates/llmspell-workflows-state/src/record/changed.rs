//! Changes of the state in records, which refer to what steps left there before.

use std::{collections::HashMap, sync::Arc};

use llmspell_workflows_basic::state::{Append, Change, Edit, List, SharedValue, StatePath};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kept, Known};

/// A change of the state in a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptChange {
    /// Which part of the state.
    pub path: StatePath,
    /// What becomes of it.
    #[serde(flatten)]
    pub edit: KeptEdit,
}

/// What becomes of a part of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptEdit {
    /// It has this value from then on.
    Value(Kept),
    /// It is a list, whose items from number `at` on are these.
    Append {
        /// How many items stay.
        at: usize,
        /// The items after those, as a list.
        items: Kept,
        /// Which change made the list that they were added to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onto: Option<ChangeRef>,
    },
    /// It is a list, of which no record has what was there before: all of it is here.
    Grown {
        /// How many items were there before.
        at: usize,
        /// All items.
        list: Kept,
    },
    /// It becomes what this change of another step made of it.
    Same(ChangeRef),
}

/// A change of the state, by the step that made it and its number among those of the step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChangeRef(pub String, pub usize);

impl KeptChange {
    /// A change that refers to nothing.
    pub(crate) fn whole(change: &Change) -> Self {
        let edit = match (&change.edit, change.after()) {
            (Edit::Set(value), _) => KeptEdit::Value(Kept::Value(value.clone())),
            (Edit::Append(append), Some(after)) => {
                KeptEdit::Grown { at: append.at(), list: Kept::Value(after.to_arc()) }
            }
            (Edit::Append(append), None) => added(append, None),
        };
        Self { path: change.path.clone(), edit }
    }

    /// The values that it holds.
    pub(super) fn kept_mut(&mut self) -> Option<&mut Kept> {
        match &mut self.edit {
            KeptEdit::Value(kept) | KeptEdit::Append { items: kept, .. } | KeptEdit::Grown { list: kept, .. } => {
                Some(kept)
            }
            KeptEdit::Same(_) => None,
        }
    }

    /// Whether it refers to nothing.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(&self.edit, KeptEdit::Value(Kept::Value(_)) | KeptEdit::Grown { list: Kept::Value(_), .. })
    }
}

fn added(append: &Append, onto: Option<ChangeRef>) -> KeptEdit {
    let items = Kept::Value(Arc::new(Value::Array(append.items().to_vec())));
    KeptEdit::Append { at: append.at(), items, onto }
}

/// What steps left where they changed the state.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    by_path: HashMap<String, Vec<Option<SharedValue>>>,
    /// Which change made it, by the addresses of lists.
    by_address: HashMap<usize, ChangeRef>,
}

/// What a step that is about to be recorded changed, for what it gives.
#[derive(Default)]
pub(super) struct Own<'a> {
    path: &'a str,
    changes: &'a [Change],
}

impl Own<'_> {
    /// The change that left `value`.
    pub(super) fn find(&self, value: &SharedValue) -> Option<ChangeRef> {
        let left = |change: &Change| change.after().is_some_and(|after| after.address() == value.address());
        let number = self.changes.iter().position(left)?;
        Some(ChangeRef(self.path.to_owned(), number))
    }
}

impl Changed {
    /// Notes what the step at `path` left, the first time that it ends.
    pub(super) fn add(&mut self, path: &str, changes: &[Change]) {
        if changes.is_empty() || self.by_path.contains_key(path) {
            return;
        }
        let left: Vec<_> = changes.iter().map(Change::after).collect();
        for (number, value) in left.iter().enumerate() {
            if let Some(value) = value.as_ref().filter(|value| value.list().is_some() || value.is_array()) {
                let place = || ChangeRef(path.to_owned(), number);
                self.by_address.entry(value.address()).or_insert_with(place);
            }
        }
        self.by_path.insert(path.to_owned(), left);
    }

    /// What the step at `path` is about to leave; nothing where something is known under that path.
    pub(super) fn of_step<'a>(&self, path: &'a str, changes: &'a [Change]) -> Own<'a> {
        let changes: &[Change] = if self.by_path.contains_key(path) { &[] } else { changes };
        Own { path, changes }
    }

    /// Which change left the list `value`.
    pub(super) fn find(&self, value: &SharedValue) -> Option<&ChangeRef> {
        self.by_address.get(&value.address())
    }

    pub(super) fn get(&self, place: &ChangeRef) -> Result<SharedValue, String> {
        let left = self.by_path.get(&place.0).and_then(|left| left.get(place.1)).cloned().flatten();
        left.ok_or_else(|| format!("{} (its change {})", place.0, place.1))
    }

    /// The list that change `number` of the step at `path` left, if it has these `items` from number `at` on.
    fn left_list(&self, path: &str, number: usize, at: usize, items: &[Value]) -> Option<&List> {
        let list = self.by_path.get(path)?.get(number)?.as_ref()?.list()?;
        (list.at() == at && **list.added() == *items).then_some(list)
    }
}

impl Known {
    /// `change` as it is kept.
    pub(super) fn keep_change(&self, change: &Change, gathers: bool) -> KeptChange {
        let Edit::Append(append) = &change.edit else {
            let edit = match change.after() {
                Some(after) if gathers && self.changed.find(&after).is_some() => {
                    self.changed.find(&after).cloned().map(KeptEdit::Same)
                }
                Some(after) => Some(KeptEdit::Value(self.keep_value(&after, &Own::default(), gathers))),
                None => None,
            };
            return edit
                .map_or_else(|| KeptChange::whole(change), |edit| KeptChange { path: change.path.clone(), edit });
        };
        let after = change.after();
        let same = after.as_ref().and_then(|after| self.changed.find(after));
        let onto = || self.changed.find(&after.as_ref()?.list()?.before()).cloned();
        let edit = match (same, onto()) {
            (Some(same), _) => KeptEdit::Same(same.clone()),
            (None, Some(onto)) => added(append, Some(onto)),
            // Nobody who reads it would know what was added to.
            (None, None) => return KeptChange::whole(change),
        };
        KeptChange { path: change.path.clone(), edit }
    }

    /// The changes that were kept of the step at `path`.
    pub(crate) fn changes(&self, path: &str, kept: &[KeptChange]) -> Result<Vec<Change>, String> {
        kept.iter().enumerate().map(|(number, change)| self.change(path, number, change)).collect()
    }

    fn change(&self, step: &str, number: usize, kept: &KeptChange) -> Result<Change, String> {
        let path = kept.path.clone();
        let edit = match &kept.edit {
            KeptEdit::Value(value) => Edit::Set(self.value(value)?.to_arc()),
            KeptEdit::Same(place) => {
                let left = self.changed.get(place)?;
                match left.list() {
                    Some(list) => Edit::Append(list.clone().into()),
                    None => Edit::Set(left.to_arc()),
                }
            }
            KeptEdit::Append { at, items, onto } => {
                let items: Arc<[Value]> = items_of(&self.value(items)?).into();
                let before = onto.as_ref().map(|onto| self.changed.get(onto)).transpose()?;
                Edit::Append(self.append(step, number, *at, before, items))
            }
            KeptEdit::Grown { at, list } => {
                let whole = self.value(list)?;
                let (before, items) = items_of(&whole).split_at_checked(*at).unwrap_or_default();
                let before = SharedValue::from(Value::Array(before.to_vec()));
                Edit::Append(self.append(step, number, *at, Some(before), items.into()))
            }
        };
        Ok(Change { path, edit })
    }

    /// What change `number` of `step` adds to `before`: the list that is known to have come of it, where one is.
    fn append(&self, step: &str, number: usize, at: usize, before: Option<SharedValue>, items: Arc<[Value]>) -> Append {
        let known = self.changed.left_list(step, number, at, &items).cloned();
        let made = || List::after(&before?, items.clone()).filter(|list| list.at() == at);
        known.or_else(made).map_or_else(|| Append::new(at, items.clone()), Append::from)
    }
}

fn items_of(value: &SharedValue) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_basic::{WorkflowState, engine::Output};
    use serde_json::json;

    use super::*;
    use crate::record::End;

    /// What a `set` step gives that ends the list `key` with `items`.
    fn set(state: &mut WorkflowState, whole: Value) -> Output {
        let change = state.shortened(Change::key("list", whole));
        state.apply(change.clone(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let value = SharedValue::object(vec![("list".to_owned(), change.after().unwrap())]);
        Output { value, state_changes: vec![change] }
    }

    /// Records that the step at `path` ended so; the record as JSON.
    fn record(known: &mut Known, path: &str, output: &Output, gathers: bool) -> Value {
        let end = known.keep(Some(path), output, gathers);
        known.add(path, output);
        json!(end)
    }

    #[test]
    fn a_list_that_grows_is_recorded_as_what_was_added_and_read_back_as_a_whole() {
        let (mut known, mut state) = (Known::default(), WorkflowState::default());
        let mut ends = Vec::new();
        let mut outputs = Vec::new();
        for number in 0..50 {
            let whole = Value::Array((0..=number).map(|n| json!(format!("item {n}"))).collect());
            let output = set(&mut state, whole);
            let path = format!("/main/lp[{number}]/app");
            ends.push((path.clone(), record(&mut known, &path, &output, false)));
            // The iteration around it gives and changes the same.
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

        let mut read = Known::default();
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
        // What was read is found again, so that a run that goes on adds to it.
        let changes = read.changes("/main/lp[49]/app", &kept_changes(&ends[98].1)).unwrap();
        assert_eq!(read.changed.find(&changes[0].after().unwrap()), Some(&ChangeRef("/main/lp[49]/app".into(), 0)));
    }

    fn kept_changes(end: &Value) -> Vec<KeptChange> {
        serde_json::from_value(end["completed"]["changes"].clone()).unwrap()
    }

    #[test]
    fn what_is_added_to_a_list_that_nobody_recorded_is_recorded_as_a_whole() {
        let mut state = WorkflowState::default();
        state.set("list", json!([1])).unwrap();
        let output = set(&mut state, json!([1, 2]));
        let end = record(&mut Known::default(), "/main/a", &output, false);
        let expected = json!({"completed": {
            "output": {"o": [["list", {"c": ["/main/a", 0]}]]},
            "changes": [{"path": "list", "grown": {"at": 1, "list": {"v": [1, 2]}}}],
        }});
        assert_eq!(end, expected);
    }

    #[test]
    fn a_reference_to_a_change_that_is_not_there_is_named() {
        let kept = KeptChange { path: "list".parse().unwrap(), edit: KeptEdit::Same(ChangeRef("/main/x".into(), 1)) };
        assert_eq!(Known::default().changes("/main/y", &[kept]), Err("/main/x (its change 1)".to_owned()));
    }
}
