//! Reads a log in a folder while another process may be writing to it.

use std::{path::Path, sync::Arc};

use foldhash::{HashMap, HashMapExt};
use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    LOCK, WalJournal,
    one_run::{self, Records},
    outline,
    reader::{LogReader, ReadLog, needed_body},
    record,
    runs::{LiveRun, Runs, kind},
};
use crate::{
    disk::{Disk, DiskFile, SystemDisk},
    journal::{JournalContents, JournalError, JournaledRun},
    log::{FrameLocation, LogDamage, LogError, read::read_frames, recover, scan::Depth, segment},
    record::Record,
};

impl WalJournal {
    /// Returns the [outlines](Record::outline) of all records in the log in the local folder `dir`,
    /// even while the log's owner writes to it. Values of long records are not read.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn outlines(dir: impl AsRef<Path>) -> Result<JournalContents, JournalError> {
        Self::outlines_on(&SystemDisk, dir)
    }

    /// Works like [`Self::outlines`], but on `disk`.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn outlines_on(disk: &dyn Disk, dir: impl AsRef<Path>) -> Result<JournalContents, JournalError> {
        let dir = dir.as_ref();
        let mut recovery = recover::read_heads(disk, dir)?;
        let mut bodies = HashMap::<FrameLocation, SmallVec<[u8; 24]>>::new();
        let read = LogReader::read(&mut recovery, dir, |frame| {
            if frame.kind == kind::RECORD {
                bodies.insert(frame.location, frame.body.clone());
            }
        });
        Ok(contents(read, |run, live| {
            let of_run = live.records().into_iter().filter_map(|location| bodies.get(&location));
            of_run.map(|body| outline(run, body)).collect()
        }))
    }

    /// Returns all records in the log in the local folder `dir`, even while the log's owner writes
    /// to it.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn read_all(dir: impl AsRef<Path>) -> Result<JournalContents, JournalError> {
        let dir = dir.as_ref();
        let is_whole = |contents: &JournalContents| contents.runs.iter().all(|run| is_read(&run.records));
        read_unchanged(&SystemDisk, dir, is_whole, || {
            let mut recovery = recover::read(&SystemDisk, dir, Depth::Full, needed_body)?;
            let read = LogReader::read(&mut recovery, dir, |_| ());
            Ok(contents(read, |run, live| read_records(&SystemDisk, dir, run, &live.records())))
        })
    }

    /// Returns `run` if it is in the log in the local folder `dir`, even while the log's owner
    /// writes to it.
    ///
    /// Only this run's frames are read from full segments, which have an index.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn read_run(dir: impl AsRef<Path>, run: Uuid) -> Result<Option<JournaledRun>, JournalError> {
        Self::read_run_on(&SystemDisk, dir, run)
    }

    /// Works like [`Self::read_run`], but returns only the first record of the run.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn read_start(dir: impl AsRef<Path>, run: Uuid) -> Result<Option<JournaledRun>, JournalError> {
        Self::read_some(&SystemDisk, dir.as_ref(), run, Records::First)
    }

    /// Works like [`Self::read_run`], but on `disk`.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    pub fn read_run_on(
        disk: &dyn Disk,
        dir: impl AsRef<Path>,
        run: Uuid,
    ) -> Result<Option<JournaledRun>, JournalError> {
        Self::read_some(disk, dir.as_ref(), run, Records::All)
    }

    fn read_some(disk: &dyn Disk, dir: &Path, run: Uuid, which: Records) -> Result<Option<JournaledRun>, JournalError> {
        let is_whole = |read: &Option<JournaledRun>| read.as_ref().is_none_or(|read| is_read(&read.records));
        read_unchanged(disk, dir, is_whole, || one_run::read(disk, dir, run, which))
    }

    /// Returns whether a running process has the log in the local folder `dir` open.
    ///
    /// # Errors
    /// Returns an error if the lock cannot be tested.
    pub fn is_held(dir: impl AsRef<Path>) -> Result<bool, JournalError> {
        let path = dir.as_ref().join(LOCK);
        Ok(SystemDisk::is_locked(&path).map_err(|error| LogError::io(&path, &error))?)
    }
}

/// Calls `read` again if a file was missing and the log's owner has meanwhile created or removed
/// segments. The content of a removed segment is no longer needed or is in a later segment.
fn read_unchanged<T>(
    disk: &dyn Disk,
    dir: &Path,
    is_whole: impl Fn(&T) -> bool,
    read: impl Fn() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let names = || disk.list(dir).map_err(|error| LogError::io(dir, &error));
    loop {
        let before = names()?;
        let read = read()?;
        if is_whole(&read) || names()? == before {
            return Ok(read);
        }
    }
}

/// Returns whether the segments that contain the records could be read.
fn is_read(records: &Result<Vec<Record>, JournalError>) -> bool {
    !matches!(records, Err(JournalError::Log(LogError::Io { .. })))
}

/// Returns the runs of a log; `records_of` returns the records of an undamaged run.
fn contents(
    read: ReadLog,
    records_of: impl Fn(Uuid, &LiveRun) -> Result<Vec<Record>, JournalError>,
) -> JournalContents {
    let ReadLog { runs, damage } = read;
    let mut all: Vec<JournaledRun> =
        runs.by_id.iter().map(|(run, live)| log_run(&runs, *run, live, &records_of)).collect();
    all.sort_unstable_by_key(|run| run.run);
    JournalContents { runs: all, damage: damage.iter().map(error_of).collect() }
}

pub(super) fn log_run(
    runs: &Runs,
    run: Uuid,
    live: &LiveRun,
    records_of: impl Fn(Uuid, &LiveRun) -> Result<Vec<Record>, JournalError>,
) -> JournaledRun {
    let records = runs.check(run).and_then(|()| records_of(run, live));
    JournaledRun { run, epoch: live.epoch, records }
}

/// Reads the records of `run` at `locations`.
pub(super) fn read_records(
    disk: &dyn Disk,
    dir: &Path,
    run: Uuid,
    locations: &[FrameLocation],
) -> Result<Vec<Record>, JournalError> {
    let mut last: Option<(u64, Arc<dyn DiskFile>)> = None;
    let mut open = |number: u64| match &last {
        Some((open, file)) if *open == number => Ok(file.clone()),
        _ => {
            let file: Arc<dyn DiskFile> = disk.open_to_read(&segment::path(dir, number))?.into();
            last = Some((number, file.clone()));
            Ok(file)
        }
    };
    let mut records = Vec::with_capacity(locations.len());
    read_frames(dir, locations, &mut open, |body| {
        records.push(record(run, body)?);
        Ok::<_, JournalError>(())
    })?;
    Ok(records)
}

fn error_of(damage: &LogDamage) -> JournalError {
    JournalError::Log(damage.into())
}
