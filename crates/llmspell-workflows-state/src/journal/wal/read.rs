//! Reads a log in a local folder, which another process may be writing.

use std::{collections::BTreeMap, path::Path};

use uuid::Uuid;

use super::{
    LOCK, WalJournal, peek, record,
    runs::{LogReader, Runs, kind},
};
use crate::{
    disk::{Disk, SystemDisk},
    journal::JournalError,
    log::recover::{self, Recovery},
    record::Record,
};

impl WalJournal {
    /// Returns the records in the log in the local folder `dir`, grouped by run, even while its owner writes to it.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub fn peek(dir: impl AsRef<Path>) -> Result<Vec<(Uuid, Vec<Record>)>, JournalError> {
        records_by_run(recover::peek(&SystemDisk, dir.as_ref())?)
    }

    /// Does the same as [`Self::peek`], and fails if anything that was synced is missing.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read or something that was synced is missing. While the log is being
    /// written, this error can also be transient: nothing is lost, and a later call succeeds.
    pub fn check(dir: impl AsRef<Path>) -> Result<Vec<(Uuid, Vec<Record>)>, JournalError> {
        records_by_run(recover::check(&SystemDisk, dir.as_ref())?)
    }

    /// Returns the last record of each run in the log in the local folder `dir`, as [`Self::peek`] does.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub fn peek_last(dir: impl AsRef<Path>) -> Result<Vec<(Uuid, Record)>, JournalError> {
        last_records(recover::peek(&SystemDisk, dir.as_ref())?)
    }

    /// Does the same as [`Self::peek_last`], with the checks of [`Self::check`].
    ///
    /// # Errors
    /// Returns an error if the log cannot be read, or if something that was synced is missing. While the log is being
    /// written, this error can also be transient: nothing is lost, and a later call succeeds.
    pub fn check_last(dir: impl AsRef<Path>) -> Result<Vec<(Uuid, Record)>, JournalError> {
        last_records(recover::check(&SystemDisk, dir.as_ref())?)
    }

    /// Returns the records of `run` in the log in the local folder `dir`, as [`Self::peek`] does. Returns `None` if
    /// there are none.
    ///
    /// From full segments, which have an index, only the frames of this run are read.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub fn peek_run(dir: impl AsRef<Path>, run: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
        peek::peek_run(&SystemDisk, dir.as_ref(), run)
    }

    /// Does the same as [`Self::peek_run`] on `disk`.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub fn peek_run_on(disk: &dyn Disk, dir: impl AsRef<Path>, run: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
        peek::peek_run(disk, dir.as_ref(), run)
    }

    /// Does the same as [`Self::peek_run`], with the checks of [`Self::check`].
    ///
    /// # Errors
    /// Returns an error if the log cannot be read or something that was synced is missing. While the log is being
    /// written, this error can also be transient: nothing is lost, and a later call succeeds.
    pub fn check_run(dir: impl AsRef<Path>, run: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
        records_of_run(recover::check(&SystemDisk, dir.as_ref())?, run)
    }

    /// Returns whether a running process has the log in the local folder `dir` open.
    ///
    /// # Errors
    /// Returns an error if the lock cannot be tested.
    pub fn is_held(dir: impl AsRef<Path>) -> Result<bool, JournalError> {
        let path = dir.as_ref().join(LOCK);
        let is_locked = SystemDisk::is_locked(&path);
        Ok(is_locked.map_err(|error| crate::log::LogError::Io { path, message: error.to_string() })?)
    }
}

/// Returns the records in a log, grouped by run.
fn records_by_run(recovery: Recovery) -> Result<Vec<(Uuid, Vec<Record>)>, JournalError> {
    let mut records = BTreeMap::<Uuid, Vec<Record>>::new();
    let runs = each_record(recovery, |run, body| {
        match body {
            Some(body) => records.entry(run).or_default().push(record(run, body)?),
            None => drop(records.remove(&run)),
        }
        Ok(())
    })?;
    records.retain(|run, _| runs.by_id.contains_key(run));
    Ok(records.into_iter().collect())
}

/// Returns the last record of each run in a log.
fn last_records(recovery: Recovery) -> Result<Vec<(Uuid, Record)>, JournalError> {
    // The first record of a run contains the format of all.
    let mut ends = BTreeMap::<Uuid, (Vec<u8>, Vec<u8>)>::new();
    let runs = each_record(recovery, |run, body| {
        match body {
            Some(body) => ends.entry(run).or_insert_with(|| (body.to_vec(), Vec::new())).1 = body.to_vec(),
            None => drop(ends.remove(&run)),
        }
        Ok(())
    })?;
    ends.retain(|run, _| runs.by_id.contains_key(run));
    let read = |(run, (first, last)): (Uuid, (Vec<u8>, Vec<u8>))| {
        record(run, &first)?;
        Ok((run, record(run, &last)?))
    };
    ends.into_iter().map(read).collect()
}

/// Returns the records of one run in a log.
fn records_of_run(recovery: Recovery, wanted: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
    let mut records = Vec::new();
    let runs = each_record(recovery, |run, body| {
        match body.filter(|_| run == wanted) {
            Some(body) => records.push(record(run, body)?),
            None if run == wanted => records.clear(),
            None => {}
        }
        Ok(())
    })?;
    Ok((runs.by_id.contains_key(&wanted) && !records.is_empty()).then_some(records))
}

/// Visits the records of all runs in order; returns the runs that remain. Passes `None` where a run is forgotten; its
/// id may appear again later.
fn each_record(
    recovery: Recovery,
    mut visit: impl FnMut(Uuid, Option<&[u8]>) -> Result<(), JournalError>,
) -> Result<Runs, JournalError> {
    let mut reading = LogReader::default();
    for frame in recovery.frames {
        let run = reading.by_number.get(&frame.run).copied();
        match (run, frame.kind) {
            (Some(run), kind::RECORD) => visit(run, Some(&frame.body))?,
            (Some(run), kind::FORGOTTEN) => visit(run, None)?,
            _ => {}
        }
        reading.add_frame(frame)?;
    }
    Ok(reading.runs)
}
