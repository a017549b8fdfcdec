use std::{collections::HashMap, ops::ControlFlow};

use uuid::Uuid;

use super::{Epoch, JournalError, Record};
use crate::store::{
    StoreError,
    kv::{Change, KeyValue, Range},
};

/// The runs with records, and their record counts.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: HashMap<Uuid, Live>,
    /// The total number of records of all runs.
    count: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Live {
    epoch: Option<Epoch>,
    records: u64,
}

impl Runs {
    /// Reads the runs in `below` and checks that nothing is missing.
    pub(super) fn read(below: &dyn KeyValue) -> Result<Self, JournalError> {
        let (mut runs, mut count) = (Self::default(), 0);
        below.scan(&Range { from: Vec::new(), to: vec![u8::MAX], backward: false }, &mut |key, value| {
            match Key::read(key) {
                Some(Key::Epoch(run)) => runs.live(run).epoch = Some(Epoch(read_number(value)?)),
                Some(Key::Count) => count = read_number(value)?,
                Some(Key::Record(run, index)) => {
                    let live = runs.live(run);
                    if live.records != index {
                        return Err(missing(run, live.records));
                    }
                    live.records += 1;
                    runs.count += 1;
                }
                None => {
                    return Err(StoreError::Foreign {
                        path: below.location().into(),
                        message: format!("it contains the key {}, which is not a journal key", key.escape_ascii()),
                    });
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        runs.check(below, count)?;
        Ok(runs)
    }

    fn check(&self, below: &dyn KeyValue, count: u64) -> Result<(), JournalError> {
        if self.count != count {
            let message = format!("expected {count} records, got {}", self.count);
            return Err(StoreError::damaged(below.location(), message).into());
        }
        match self.by_id.iter().find(|(_, live)| live.epoch.is_none()) {
            Some((run, _)) => Err(JournalError::Damaged { run: *run, message: "its epoch is missing".to_owned() }),
            None => Ok(()),
        }
    }

    fn live(&mut self, run: Uuid) -> &mut Live {
        self.by_id.entry(run).or_default()
    }

    /// Returns the number of records of a run.
    pub(super) fn count(&self, run: Uuid) -> u64 {
        self.by_id.get(&run).map_or(0, |live| live.records)
    }

    /// Begins the next epoch of a run; returns the epoch, the number of records and the change to write.
    pub(super) fn open(&mut self, run: Uuid) -> (Epoch, u64, Change) {
        let live = self.live(run);
        let epoch = Epoch(live.epoch.map_or(0, |epoch| epoch.0) + 1);
        live.epoch = Some(epoch);
        (epoch, live.records, (epoch_key(run), Some(epoch.0.to_le_bytes().to_vec())))
    }

    /// Adds a record to a run; returns its index.
    pub(super) fn append(&mut self, run: Uuid, epoch: Epoch) -> Result<u64, JournalError> {
        let live = self.by_id.get_mut(&run).filter(|live| live.epoch == Some(epoch));
        let live = live.ok_or(JournalError::Fenced { run })?;
        live.records += 1;
        self.count += 1;
        Ok(live.records - 1)
    }

    /// Checks that `run` has not been taken over since `epoch`; an unknown run passes this check.
    pub(super) fn check_epoch(&self, run: Uuid, epoch: Epoch) -> Result<(), JournalError> {
        match self.by_id.get(&run) {
            Some(live) if live.epoch != Some(epoch) => Err(JournalError::Fenced { run }),
            _ => Ok(()),
        }
    }

    /// Removes a run; returns the changes to write.
    pub(super) fn forget(&mut self, run: Uuid, epoch: Epoch) -> Result<Vec<Change>, JournalError> {
        let Some(live) = self.by_id.get(&run).copied() else { return Ok(Vec::new()) };
        self.check_epoch(run, epoch)?;
        self.by_id.remove(&run);
        self.count -= live.records;
        let records = (0..live.records).map(|index| record_key(run, index));
        Ok(records.chain([epoch_key(run)]).map(|key| (key, None)).collect())
    }

    /// Replaces the records of a run; returns its new epoch, later than `after`, and the changes to write.
    pub(super) fn arrive(
        &mut self,
        run: Uuid,
        after: Epoch,
        bodies: Vec<Vec<u8>>,
    ) -> Result<(Epoch, Vec<Change>), JournalError> {
        let former = self.by_id.get(&run).and_then(|live| live.epoch);
        let mut changes = former.map_or(Ok(Vec::new()), |epoch| self.forget(run, epoch))?;
        let epoch = Epoch(former.unwrap_or_default().max(after).0 + 1);
        let records = bodies.len() as u64;
        self.by_id.insert(run, Live { epoch: Some(epoch), records });
        self.count += records;
        changes.push((epoch_key(run), Some(epoch.0.to_le_bytes().to_vec())));
        changes.extend((0..).zip(bodies).map(|(index, body)| (record_key(run, index), Some(body))));
        Ok((epoch, changes))
    }

    /// Returns the change that stores the total number of records.
    pub(super) fn count_change(&self) -> Change {
        (b"n".to_vec(), Some(self.count.to_le_bytes().to_vec()))
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.by_id.keys().copied().collect()
    }
}

/// Reads the first `count` records of a run.
pub(super) fn read_records(below: &dyn KeyValue, run: Uuid, count: u64) -> Result<Vec<Record>, JournalError> {
    let mut records = Vec::new();
    let range = Range { from: record_key(run, 0), to: record_key(run, count), backward: false };
    below.scan(&range, &mut |key, body| {
        let index = records.len() as u64;
        if Key::read(key) != Some(Key::Record(run, index)) {
            return Err(missing(run, index));
        }
        let record = Record::decode(body).map_err(|error| StoreError::unreadable(location(run, index), error))?;
        records.push(record);
        Ok(ControlFlow::Continue(()))
    })?;
    if records.len() as u64 == count { Ok(records) } else { Err(missing(run, records.len() as u64).into()) }
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Count,
    Epoch(Uuid),
    Record(Uuid, u64),
}

impl Key {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            b'n' if rest.is_empty() => Some(Self::Count),
            b'e' => Some(Self::Epoch(Uuid::from_slice(rest).ok()?)),
            b'r' => {
                let (run, index) = rest.split_first_chunk::<16>()?;
                Some(Self::Record(Uuid::from_bytes(*run), u64::from_be_bytes(index.try_into().ok()?)))
            }
            _ => None,
        }
    }
}

fn epoch_key(run: Uuid) -> Vec<u8> {
    [b"e", &run.as_bytes()[..]].concat()
}

pub(super) fn record_key(run: Uuid, index: u64) -> Vec<u8> {
    [b"r", &run.as_bytes()[..], &index.to_be_bytes()].concat()
}

fn read_number(value: &[u8]) -> Result<u64, StoreError> {
    let bytes = value.try_into().map_err(|_| StoreError::damaged("a number", "expected eight bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

fn missing(run: Uuid, index: u64) -> StoreError {
    StoreError::damaged(location(run, index), "the record is missing")
}

fn location(run: Uuid, index: u64) -> String {
    format!("record {index} of run {run}")
}
