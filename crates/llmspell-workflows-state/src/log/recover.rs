//! Reads a log back, and tells torn frames from damaged ones.
//!
//! A crash can leave half-written frames, or later frames without the earlier ones. Everything
//! after the first frame that is not intact was never acknowledged, and is ignored. A mark records
//! how far a segment has been synced. If data before that offset is not intact, the disk has lost
//! data that it promised to keep. The frames around such a gap are still returned, and the gap is
//! reported: only the runs that may have lost frames in the gap are damaged.
//!
//! A segment begins with marks for all segments that exist at that time, and a segment is marked as
//! freed before it is removed, so a lost segment is also detected as a gap. The tail file names the
//! last segment with synced frames, which no other segment mentions.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    FREED, LogError,
    heads::ListedSegments,
    scan::{Depth, KeepBody, KnownMarks, Mark, RecoveredFrame, ScanError, ScannedSegment, salvage},
    segment,
    tail_file::{self, TailFile},
};
use crate::disk::Disk;

/// The content of a log.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// The frames in order, and the places where frames may be missing.
    pub(crate) items: Vec<LogItem>,
    /// The offset up to which each segment was synced or is intact, including missing segments.
    pub(crate) ends: BTreeMap<u64, u64>,
    /// Segments that were freed but not removed.
    pub(crate) freed: Vec<u64>,
    /// Missing or damaged segments. They are left unchanged, and later segments continue to mention
    /// them.
    pub(crate) damaged: BTreeSet<u64>,
    /// The damage, in segment order.
    pub(crate) damage: Vec<LogDamage>,
    /// The number of the next segment.
    pub(crate) next: u64,
}

/// A frame, or a place where frames may be missing.
#[derive(Debug)]
pub(crate) enum LogItem {
    Frame(RecoveredFrame),
    /// A gap, with the index of its damage.
    Gap(usize),
}

/// Missing or changed synced data of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogDamage {
    pub(crate) path: PathBuf,
    pub(crate) message: String,
}

impl std::fmt::Display for LogDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl From<&LogDamage> for LogError {
    fn from(damage: &LogDamage) -> Self {
        Self::damaged(&damage.path, damage.message.clone())
    }
}

/// Reads all segments in `dir` and makes their data durable.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, keep: KeepBody) -> Result<Recovery, LogError> {
    let recovery = read(disk, dir, Depth::Full, keep)?;
    sync(disk, dir, &recovery)?;
    Ok(recovery)
}

/// Reads all segments in `dir` while another process may be writing to them.
///
/// Returns everything appended up to some moment. A partly written frame may look like damage.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, depth: Depth, keep: KeepBody) -> Result<Recovery, LogError> {
    read_with(disk, dir, depth, keep, &ListedSegments::default())
}

/// Reads the frames of all segments in `dir` without their bulk, while another process may be
/// writing.
///
/// Segments listed in the heads file are not opened unless they have changed since.
pub(crate) fn read_heads(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    read_with(disk, dir, Depth::Heads, |_| usize::MAX, &ListedSegments::read(disk, dir))
}

/// Reads all segments in `dir` except unchanged segments in `listed`.
fn read_with(
    disk: &dyn Disk,
    dir: &Path,
    depth: Depth,
    keep: KeepBody,
    listed: &ListedSegments,
) -> Result<Recovery, LogError> {
    // The tail file is read first, since the segment it names exists from then on.
    let tail = tail_file::read(disk, dir);
    let known = KnownMarks::default();
    tail.iter().for_each(|tail| known.note(tail.segment, tail.end));
    let scanned = segments(disk, dir, |number, path| match listed.take(disk, path, number, &known)? {
        Some(scanned) => Ok(scanned),
        None => ScannedSegment::read(disk, path, number, depth, keep, &known),
    })?;
    let mut reading = Reading { disk, dir, keep, marks: BTreeMap::new(), done: Recovery::default() };
    reading.note_marks(&scanned);
    let freed: BTreeSet<u64> = freed_in(scanned.values().flat_map(|segment| &segment.marks));
    let lost = lost_segments(&scanned, &freed);
    let last = scanned.keys().next_back().copied().unwrap_or(0);
    // A segment without a header was prepared but never written.
    let last_written = scanned.iter().rev().find(|(_, segment)| segment.has_header).map_or(0, |(number, _)| *number);
    let is_last_lost = |tail: &TailFile| tail.segment > last_written && !scanned.contains_key(&tail.segment);
    let lost_last = tail.filter(is_last_lost);
    let mut lost = lost.into_iter().peekable();
    for (number, segment) in scanned {
        while let Some(before) = lost.next_if(|lost| *lost < number) {
            reading.gap(before, "the segment is missing");
        }
        if freed.contains(&number) {
            reading.done.freed.push(number);
            continue;
        }
        reading.add(number, segment, tail.filter(|tail| tail.segment == number))?;
    }
    if let Some(tail) = lost_last {
        reading.gap(tail.segment, "the last segment is missing");
    }
    reading.done.next = last.max(tail.map_or(0, |tail| tail.segment)) + 1;
    Ok(reading.done)
}

/// A log being read.
struct Reading<'d> {
    disk: &'d dyn Disk,
    dir: &'d Path,
    keep: KeepBody,
    /// The offset up to which each segment was synced, according to the marks.
    marks: BTreeMap<u64, u64>,
    done: Recovery,
}

impl Reading<'_> {
    fn note_marks(&mut self, scanned: &BTreeMap<u64, ScannedSegment>) {
        for (number, segment) in scanned {
            for (about, _) in segment.marks.iter().chain(&segment.later_marks) {
                if about > number {
                    let message = format!("it contains a mark for the later segment {about}");
                    self.done.damage.push(LogDamage { path: segment::path(self.dir, *number), message });
                }
            }
        }
        let marks = scanned.iter().flat_map(|(number, segment)| {
            segment.marks.iter().chain(&segment.later_marks).filter(move |(about, _)| about <= number)
        });
        self.marks = synced_in(marks);
    }

    fn gap(&mut self, number: u64, message: &str) {
        self.done.damaged.insert(number);
        // Later readers must not mistake the segment for one that never had frames.
        let end = self.done.ends.entry(number).or_insert(0);
        *end = (*end).max(segment::HEADER);
        let damage = LogDamage { path: segment::path(self.dir, number), message: message.to_owned() };
        self.done.damage.push(damage);
        self.done.items.push(LogItem::Gap(self.done.damage.len() - 1));
    }

    /// Adds a segment; `tail` is the content of the tail file if the tail file names this segment.
    fn add(&mut self, number: u64, segment: ScannedSegment, tail: Option<TailFile>) -> Result<(), LogError> {
        let marked = self.marks.get(&number).copied().unwrap_or(0);
        let synced = marked.max(tail.map_or(0, |tail| tail.end));
        let end = segment.end;
        self.done.ends.insert(number, synced.max(end));
        self.done.items.extend(segment.frames.into_iter().map(LogItem::Frame));
        if let Some(length) = segment.truncated_from {
            self.gap(number, &format!("the file was truncated to {} of its {length} bytes", segment.length));
        } else if !segment.has_header && (synced > 0 || tail.is_some()) {
            self.gap(number, "its header is no longer intact");
        } else if end < synced {
            self.gap(number, &lost_bytes(end, synced));
        }
        let intact = end.min(segment.length)..synced.min(segment.length);
        if !intact.is_empty() {
            let path = segment::path(self.dir, number);
            let length = usize::try_from(intact.end - intact.start).unwrap_or(usize::MAX);
            let bytes = self.disk.open_to_read(&path).and_then(|file| file.read_at(intact.start, length));
            let bytes = bytes.map_err(|error| LogError::io(&path, &error))?;
            let salvaged = salvage(number, intact.start, &bytes, self.keep);
            self.done.items.extend(salvaged.into_iter().map(LogItem::Frame));
        }
        Ok(())
    }
}

/// Returns the offset up to which each segment was synced, according to `marks`.
pub(crate) fn synced_in<'m>(marks: impl Iterator<Item = &'m Mark>) -> BTreeMap<u64, u64> {
    let mut all = BTreeMap::new();
    for (about, synced) in marks.filter(|(_, synced)| *synced != FREED) {
        let known = all.entry(*about).or_insert(0);
        *known = (*synced).max(*known);
    }
    all
}

/// Describes the loss of synced bytes of a segment.
pub(crate) fn lost_bytes(end: u64, synced: u64) -> String {
    format!("the {} bytes at offset {end} were synced, but are no longer intact", synced - end)
}

/// Returns the segments marked as freed in `marks`.
pub(crate) fn freed_in<'m, B: FromIterator<u64>>(marks: impl Iterator<Item = &'m Mark>) -> B {
    marks.filter(|(_, synced)| *synced == FREED).map(|(about, _)| *about).collect()
}

/// Returns the segments that the newest segment mentions but that neither exist nor were
/// freed.
fn lost_segments(scanned: &BTreeMap<u64, ScannedSegment>, freed: &BTreeSet<u64>) -> BTreeSet<u64> {
    let newest = scanned.iter().rev().find(|(_, segment)| segment.has_header && !segment.marks.is_empty());
    let Some((newest, segment)) = newest else { return BTreeSet::new() };
    let mentioned = segment.marks.iter().map(|(about, _)| *about).filter(|about| about < newest);
    mentioned.filter(|about| !scanned.contains_key(about) && !freed.contains(about)).collect()
}

/// Calls `read` for each segment, and returns the results ordered by segment number.
///
/// The segments are read in descending order. A writer fills a segment before it adds a frame
/// to the next one, so no frame is returned without its predecessors. No run needs a segment
/// that disappears during the read.
pub(crate) fn segments<T>(
    disk: &dyn Disk,
    dir: &Path,
    read: impl Fn(u64, &Path) -> Result<T, ScanError>,
) -> Result<BTreeMap<u64, T>, LogError> {
    let mut names = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
    'again: loop {
        let mut all = BTreeMap::new();
        for number in names.iter().rev().filter_map(|name| segment::number(name)) {
            let path = segment::path(dir, number);
            match read(number, &path) {
                Ok(part) => drop(all.insert(number, part)),
                Err(ScanError::Log(error)) => return Err(error),
                Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    let now = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
                    if now == names {
                        return Err(LogError::io(&path, &error));
                    }
                    names = now;
                    continue 'again;
                }
                Err(ScanError::Io(error)) => return Err(LogError::io(&path, &error)),
            }
        }
        return Ok(all);
    }
}

/// Syncs the segments that were read. Data written by a killed process may still be only in memory, and later frames
/// depend on it.
fn sync(disk: &dyn Disk, dir: &Path, recovery: &Recovery) -> Result<(), LogError> {
    for number in recovery.ends.iter().filter(|(_, end)| **end > 0).map(|(number, _)| *number) {
        let path = segment::path(dir, number);
        match disk.open(&path).and_then(|file| file.sync()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && recovery.damaged.contains(&number) => {}
            synced => synced.map_err(|error| LogError::io(&path, &error))?,
        }
    }
    Ok(())
}
