//! Reads one run of a log while another process may be writing to it.

use std::path::Path;

use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    index::{self, IndexEntry},
    read::{log_run, read_records},
    reader::{LogReader, needed_body},
};
use crate::{
    disk::{Disk, DiskFile},
    journal::{JournalError, JournaledRun},
    log::{
        FrameLocation, LogDamage,
        frame::{self, ParsedFrame},
        heads::ListedSegments,
        recover,
        scan::{Depth, KnownMarks, Mark, RecoveredFrame, ScanError, ScannedSegment},
        segment,
    },
};

/// The maximum number of bytes read from an indexed frame to track the log's runs.
const HEAD_MAX: u32 = 64 << 10;

/// The frames of a segment.
enum SegmentFrames {
    /// The frames of the run, as listed in the segment's index.
    Indexed(Vec<RecoveredFrame>),
    /// The whole segment.
    Whole(ScannedSegment),
}

/// Which records of a run are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Records {
    All,
    First,
}

/// Returns `run`, with some of its records, if it is in the log in `dir`. Full segments are read
/// through their indexes, so only this run's frames are read.
pub(super) fn read(
    disk: &dyn Disk,
    dir: &Path,
    run: Uuid,
    which: Records,
) -> Result<Option<JournaledRun>, JournalError> {
    let known = KnownMarks::default();
    let listed = ListedSegments::read(disk, dir);
    let segments = recover::segments(disk, dir, |number, path| match listed.take(disk, path, number, &known)? {
        Some(scanned) => Ok(SegmentFrames::Whole(scanned)),
        None => frames_of(disk, dir, number, path, run, &known),
    })?;
    let scanned = segments.values().filter_map(|segment| match segment {
        SegmentFrames::Whole(scanned) => Some(scanned),
        SegmentFrames::Indexed(_) => None,
    });
    let marks: Vec<Mark> =
        scanned.flat_map(|scanned| scanned.marks.iter().chain(&scanned.later_marks)).copied().collect();
    let freed: Vec<u64> = recover::freed_in(marks.iter());
    let synced = recover::synced_in(marks.iter());
    let mut reader = LogReader::default();
    for (number, segment) in segments {
        let (frames, gap) = match segment {
            _ if freed.contains(&number) => continue,
            SegmentFrames::Indexed(frames) => (frames, None),
            SegmentFrames::Whole(scanned) => {
                let synced = synced.get(&number).copied().unwrap_or(0);
                (scanned.frames, (scanned.end < synced).then_some((scanned.end, synced)))
            }
        };
        for frame in frames {
            // Unreadable frames are reported when the whole log is read.
            let _ = reader.add_frame(&frame);
        }
        if let Some((end, synced)) = gap {
            let path = segment::path(dir, number);
            let message = recover::lost_bytes(end, synced);
            reader.add_gap(&LogDamage { path, message }.to_string());
        }
    }
    let (runs, _) = reader.finish();
    let Some(live) = runs.by_id.get(&run) else { return Ok(None) };
    let found = log_run(&runs, run, live, |run, live| {
        let mut records = live.records();
        if let Records::First = which {
            records.truncate(1);
        }
        read_records(disk, dir, run, &records)
    });
    Ok(Some(found).filter(|found| !matches!(&found.records, Ok(records) if records.is_empty())))
}

/// Reads the frames of `run` in the segment at `path`, or the whole segment if its index cannot be used.
fn frames_of(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    path: &Path,
    run: Uuid,
    known: &KnownMarks,
) -> Result<SegmentFrames, ScanError> {
    let file = disk.open_to_read(path)?;
    let entries = index::read(disk, dir, number, run);
    let frames = entries.and_then(|entries| entries.into_iter().map(|entry| indexed(&*file, number, entry)).collect());
    match frames {
        Some(frames) => Ok(SegmentFrames::Indexed(frames)),
        None => ScannedSegment::read(disk, path, number, Depth::Heads, needed_body, known).map(SegmentFrames::Whole),
    }
}

/// Reads an index entry's frame; returns `None` if the frame does not match the entry.
fn indexed(file: &dyn DiskFile, segment: u64, entry: IndexEntry) -> Option<RecoveredFrame> {
    let length = usize::try_from(entry.length.min(HEAD_MAX)).ok()?;
    let bytes = file.read_at(entry.offset.into(), length).ok()?;
    match frame::read_head(&bytes) {
        ParsedFrame::Frame(found, _) if (found.kind, found.run) == (entry.kind, entry.number) => {
            let kept = needed_body(found.kind).min(found.body.len());
            Some(RecoveredFrame {
                location: FrameLocation { segment, offset: entry.offset.into(), length: entry.length },
                kind: found.kind,
                run: found.run,
                record: found.record,
                body: SmallVec::from_slice(&found.body[..kept]),
            })
        }
        _ => None,
    }
}
