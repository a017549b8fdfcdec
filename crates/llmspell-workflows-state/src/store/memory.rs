use std::{
    collections::BTreeMap,
    path::Path,
    sync::{PoisonError, RwLock},
};

use super::{
    StoreError,
    kv::{Change, KeyValue, Range, Visit},
};

/// An in-memory key-value store.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    values: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl KeyValue for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.values.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // The visitor may read from the store, so no lock may be held while it runs. Entries are
        // fetched in small parts, since most visits end early.
        const PART: usize = 64;
        let (mut from, mut to) = (range.from.clone(), range.to.clone());
        while from < to {
            let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
            let entries = values.range(from.clone()..to.clone()).map(|(key, value)| (key.clone(), value.clone()));
            let part: Vec<_> =
                if range.backward { entries.rev().take(PART).collect() } else { entries.take(PART).collect() };
            drop(values);
            for (key, value) in &part {
                if visit(key, value)?.is_break() {
                    return Ok(());
                }
            }
            match part.into_iter().next_back() {
                Some((key, _)) if range.backward => to = key,
                Some((key, _)) => from = [&key[..], &[0]].concat(),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn write(&self, changes: Vec<Change>) -> Result<u64, StoreError> {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => drop(values.insert(key, value)),
                None => drop(values.remove(&key)),
            }
        }
        Ok(0)
    }

    fn sync(&self, _write: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let message = "stores in memory cannot be copied".to_owned();
        Err(StoreError::Io { path: to.to_owned(), message })
    }
}
