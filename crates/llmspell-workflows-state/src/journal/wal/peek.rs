//! Reads one run of a log while another process may be writing to it.

use std::{io, path::Path};

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
        frame::{self, ParsedFrame},
        recover, segment,
    },
    record::Record,
};

/// The part of a segment that was read.
enum SegmentPart {
    /// The frames of the run, as listed in the segment's index.
    Indexed(Vec<(IndexEntry, Vec<u8>)>),
    /// All bytes of the segment.
    Whole(Vec<u8>),
}

/// The part of the run that has been read so far.
#[derive(Default)]
struct PeekedRun {
    /// The number that the frames use for the run.
    number: Option<u32>,
    records: Vec<Record>,
}

/// Returns the records of `run` in the log in `dir`, or `None` if there are none. Full segments are read through their
/// indexes, so only frames of this run are read.
pub(super) fn peek_run(disk: &dyn Disk, dir: &Path, run: Uuid) -> Result<Option<Vec<Record>>, JournalError> {
    let mut peeked = PeekedRun::default();
    for (number, part) in recover::segments(disk, dir, |number, path| part(disk, dir, number, path, run))? {
        match part {
            SegmentPart::Indexed(frames) => {
                for (entry, body) in frames {
                    peeked.add(run, entry.kind, entry.number, &body)?;
                }
            }
            SegmentPart::Whole(bytes) => {
                for frame in recover::segment_frames(&segment::path(dir, number), number, &bytes)? {
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
            // From here on, the number belongs to a different run.
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

/// Reads the frames of `run` in the segment at `path`, or the whole segment if its index cannot be used.
fn part(disk: &dyn Disk, dir: &Path, number: u64, path: &Path, run: Uuid) -> io::Result<SegmentPart> {
    let file = disk.open(path)?;
    let entries = index::read(disk, dir, number, run);
    let frames = entries.and_then(|entries| entries.into_iter().map(|entry| indexed(&*file, entry)).collect());
    match frames {
        Some(frames) => Ok(SegmentPart::Indexed(frames)),
        None => recover::read(disk, path).map(SegmentPart::Whole),
    }
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
