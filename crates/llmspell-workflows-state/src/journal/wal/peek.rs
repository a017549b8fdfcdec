//! Reads one run of a log while another process may be writing to it.

use std::{collections::BTreeMap, io, path::Path};

use uuid::Uuid;

use super::{
    index::{self, IndexEntry},
    record,
    runs::{kind, parse_opened},
};
use crate::{
    disk::{Disk, DiskFile},
    journal::JournalError,
    log::{
        LogError,
        frame::{self, ParsedFrame},
        recover::{RecoveredFrame, segment_frames},
        segment,
    },
    record::Record,
};

/// The frames of a segment that may belong to the run.
enum SegmentPart {
    /// The frames of the run, as listed in the segment's index.
    Indexed(Vec<(IndexEntry, Vec<u8>)>),
    /// All frames of the segment.
    Whole(Vec<RecoveredFrame>),
}

/// The part of the run that has been read so far.
#[derive(Default)]
struct PeekedRun {
    /// The number that the frames use for the run.
    number: Option<u32>,
    records: Vec<Record>,
}

/// Returns the records of `run` in the log in `dir`, or `None` if there are none. Full segments are read through their
/// indexes, so that only frames of this run are read.
pub(super) fn peek_run(disk: &dyn Disk, dir: &Path, run: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
    let mut peeked = PeekedRun::default();
    for part in parts(disk, dir, run)?.into_values() {
        match part {
            SegmentPart::Indexed(frames) => {
                for (entry, body) in frames {
                    peeked.add(run, entry.kind, entry.number, &body)?;
                }
            }
            SegmentPart::Whole(frames) => {
                for frame in frames {
                    peeked.add(run, frame.kind, frame.run, &frame.body)?;
                }
            }
        }
    }
    Ok(peeked.number.map(|_| peeked.records).filter(|records| !records.is_empty()))
}

impl PeekedRun {
    fn add(&mut self, run: Uuid, kind: u8, number: u32, body: &[u8]) -> Result<(), JournalError> {
        match kind {
            kind::OPENED if parse_opened(body).is_some_and(|(opened, _)| opened == run) => self.number = Some(number),
            // From here on, the number belongs to another run.
            kind::OPENED if self.number == Some(number) => self.number = None,
            kind::FORGOTTEN if Uuid::from_slice(body).is_ok_and(|forgotten| forgotten == run) => {
                *self = Self::default();
            }
            kind::RECORD if self.number == Some(number) => self.records.push(record(run, body)?),
            _ => {}
        }
        Ok(())
    }
}

/// Reads the segments in descending order, for the reason given in [`crate::log::recover`].
fn parts(disk: &dyn Disk, dir: &Path, run: Uuid) -> Result<BTreeMap<u64, SegmentPart>, JournalError> {
    let list = || disk.list(dir).map_err(|error| LogError::io(dir, &error));
    let mut names = list()?;
    'again: loop {
        let mut parts = BTreeMap::new();
        for number in names.iter().rev().filter_map(|name| segment::number(name)) {
            match part(disk, dir, number, run) {
                Ok(part) => drop(parts.insert(number, part?)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let now = list()?;
                    if now == names {
                        return Err(LogError::io(&segment::path(dir, number), &error).into());
                    }
                    // A segment that disappears is no longer needed by any run.
                    names = now;
                    continue 'again;
                }
                Err(error) => return Err(LogError::io(&segment::path(dir, number), &error).into()),
            }
        }
        return Ok(parts);
    }
}

fn part(disk: &dyn Disk, dir: &Path, number: u64, run: Uuid) -> io::Result<Result<SegmentPart, LogError>> {
    let path = segment::path(dir, number);
    let file = disk.open(&path)?;
    if let Some(entries) = index::read(disk, dir, number, run)
        && let Some(frames) = entries.into_iter().map(|entry| indexed(&*file, entry)).collect()
    {
        return Ok(Ok(SegmentPart::Indexed(frames)));
    }
    let bytes = file.read_at(0, usize::try_from(file.length()?).map_err(io::Error::other)?)?;
    Ok(segment_frames(&path, number, &bytes).map(SegmentPart::Whole))
}

/// Reads the frame of an index entry; returns `None` if it is not the frame that the entry describes.
fn indexed(file: &dyn DiskFile, entry: IndexEntry) -> Option<(IndexEntry, Vec<u8>)> {
    let bytes = file.read_at(entry.offset.into(), usize::try_from(entry.length).ok()?).ok()?;
    match frame::read(&bytes) {
        ParsedFrame::Frame(found, _) if (found.kind, found.run) == (entry.kind, entry.number) => {
            Some((entry, found.body.to_vec()))
        }
        _ => None,
    }
}
