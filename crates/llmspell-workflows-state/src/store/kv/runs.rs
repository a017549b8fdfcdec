use std::{collections::HashSet, ops::ControlFlow};

use uuid::Uuid;

use super::{
    super::{RunPage, RunQuery, RunSummary, StoreError, seal},
    Change, KeyValue, KeyValueStores, Range,
    keys::{self, field},
};
use crate::store::blocking::RunStore;

/// The minimum length of an id prefix for scanning all runs with that prefix; a shorter
/// prefix matches too many runs.
const ID_DIGITS_MIN: usize = 6;

impl<K: KeyValue> KeyValueStores<K> {
    fn summary(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        let key = keys::of_run(b'r', run);
        self.below.get(&key)?.map(|bytes| self.read_summary(&key, &bytes)).transpose()
    }

    fn read_summary(&self, key: &[u8], bytes: &[u8]) -> Result<RunSummary, StoreError> {
        seal::open_json(&format!("a run in {}", self.below.location()), key, bytes)
    }

    /// Removes a run from the index, except for the entries in `retained`.
    fn unlist(&self, run: Uuid, retained: &[Vec<u8>], changes: &mut Vec<Change>) -> Result<bool, StoreError> {
        let Some(before) = self.summary(run)? else { return Ok(false) };
        let removed = keys::entries(&before).into_iter().filter(|entry| !retained.contains(entry));
        changes.extend(removed.map(|entry| (entry, None)));
        Ok(true)
    }

    fn list_by_id(&self, query: &RunQuery, ids: (Uuid, Uuid)) -> Result<RunPage, StoreError> {
        let range =
            Range { from: keys::of_run(b'r', ids.0), to: keys::after(keys::of_run(b'r', ids.1)), backward: false };
        let mut runs = Vec::new();
        self.below.scan(&range, &mut |key, bytes| {
            let run = self.read_summary(key, bytes)?;
            runs.extend(query.admits(&run, ids).then_some(run));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(query.page(runs))
    }

    /// Returns the first matching runs whose index entries begin with `prefix`.
    fn list_among(&self, prefix: Vec<u8>, query: &RunQuery, ids: (Uuid, Uuid)) -> Result<Vec<RunSummary>, StoreError> {
        let start = prefix.len();
        let at = |location: &[u8]| [&prefix, location].concat();
        let from = query.started_from.map_or(prefix.clone(), |from| at(&keys::start(from.as_microsecond())));
        let mut to = keys::after(prefix.clone());
        if let Some(before) = query.started_before {
            to = to.min(at(&keys::start(before.as_microsecond())));
        }
        if let Some(after) = query.after {
            to = to.min(at(&keys::cursor(after)));
        }
        let mut runs = Vec::new();
        self.below.scan(&Range { from, to, backward: true }, &mut |entry, _| {
            let index_damage =
                |what: &str| StoreError::damaged(format!("the index of runs in {}", self.below.location()), what);
            let id = entry.get(start + 8..).and_then(|id| Uuid::from_slice(id).ok());
            let id = id.ok_or_else(|| index_damage("an entry has no run id"))?;
            if !(ids.0..=ids.1).contains(&id) {
                return Ok(ControlFlow::Continue(()));
            }
            match self.summary(id)? {
                Some(run) => runs.extend(query.admits(&run, ids).then_some(run)),
                // If the run had been removed, its entry would be gone too, so its summary was lost.
                None if self.below.get(entry)?.is_some() => {
                    return Err(index_damage(&format!("run {id} is missing")));
                }
                None => {}
            }
            Ok(if runs.len() > query.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(runs)
    }
}

/// Returns the prefixes of the index entries to scan: a small set that covers all runs that match the query.
fn prefixes(query: &RunQuery) -> Vec<Vec<u8>> {
    if let Some(parent) = query.parent {
        vec![keys::index(field::PARENT, parent.as_bytes())]
    } else if let Some((key, value)) = query.labels.first_key_value() {
        vec![keys::label(key, value)]
    } else if !query.statuses.is_empty() {
        let mut statuses = query.statuses.clone();
        statuses.sort_unstable();
        statuses.dedup();
        statuses.iter().map(|status| keys::index(field::STATUS, status.as_str().as_bytes())).collect()
    } else if let Some(workflow) = &query.workflow {
        vec![keys::index(field::WORKFLOW, workflow.as_bytes())]
    } else {
        vec![keys::index(field::ALL, &[])]
    }
}

impl<K: KeyValue> RunStore for KeyValueStores<K> {
    fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError> {
        let _writing = self.writing();
        let (mut changes, mut later) = (Vec::new(), HashSet::new());
        for run in runs.iter().rev().filter(|run| later.insert(run.id)) {
            let entries = keys::entries(run);
            self.unlist(run.id, &entries, &mut changes)?;
            changes.extend(entries.into_iter().map(|entry| (entry, Some(Vec::new()))));
            let key = keys::of_run(b'r', run.id);
            let sealed = seal::seal_json(&key, run);
            changes.push((key, Some(sealed)));
        }
        self.below.write(changes).map(drop)
    }

    fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        self.summary(run)
    }

    fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        let ids = query.ids()?;
        if query.id_digits() >= ID_DIGITS_MIN {
            return self.list_by_id(query, ids);
        }
        let mut runs = Vec::new();
        for prefix in prefixes(query) {
            runs.extend(self.list_among(prefix, query, ids)?);
        }
        Ok(query.page(runs))
    }

    fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError> {
        let _writing = self.writing();
        let (mut changes, mut seen) = (Vec::new(), HashSet::new());
        let mut removed = 0;
        for run in runs.iter().filter(|run| seen.insert(**run)) {
            if self.unlist(*run, &[], &mut changes)? {
                changes.push((keys::of_run(b'r', *run), None));
                removed += 1;
            }
        }
        if removed > 0 {
            self.below.write(changes)?;
        }
        Ok(removed)
    }
}
