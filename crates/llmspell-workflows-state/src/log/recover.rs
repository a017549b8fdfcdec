//! Reads a log back, and tells torn frames from damaged ones.
//!
//! A crash can leave half-written frames, or later frames without the earlier ones. Everything after the first frame
//! that is not intact was never acknowledged, and is ignored. A mark says how far a segment has been synced; if
//! anything before that offset is not intact, the disk has lost data that it promised to keep, and the log is refused.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    FrameLocation, LogError, MARK,
    frame::{self, ParsedFrame},
    segment,
};
use crate::disk::Disk;

/// A frame that was read.
#[derive(Debug, Clone)]
pub(crate) struct RecoveredFrame {
    pub(crate) location: FrameLocation,
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) body: Vec<u8>,
}

/// The content of a log.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) frames: Vec<RecoveredFrame>,
    /// The offset up to which each segment is intact.
    pub(crate) ends: BTreeMap<u64, u64>,
}

/// Reads all segments in `dir`.
pub(super) fn recover(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    let recovery = check(disk, dir)?;
    sync(disk, dir, &recovery)?;
    Ok(recovery)
}

/// Reads the log, and fails if synced data is no longer intact.
pub(crate) fn check(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    let (recovery, marks) = read_all(disk, dir)?;
    for (number, synced) in marks {
        if let Some(end) = recovery.ends.get(&number).filter(|end| **end < synced) {
            let message = format!("the {} bytes at offset {end} were synced, but are no longer intact", synced - end);
            return Err(LogError::damaged(&segment::path(dir, number), message));
        }
    }
    Ok(recovery)
}

/// Reads the log while another process may be writing to it; returns everything appended up to some moment.
pub(crate) fn peek(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    read_all(disk, dir).map(|(recovery, _)| recovery)
}

/// Reads the segments; also returns, by segment, the offset up to which it was synced according to the marks.
fn read_all(disk: &dyn Disk, dir: &Path) -> Result<(Recovery, BTreeMap<u64, u64>), LogError> {
    let mut recovery = Recovery::default();
    let mut marks = BTreeMap::new();
    for (number, bytes) in segments(disk, dir, |_, path| read(disk, path))? {
        let path = segment::path(dir, number);
        check_length(&path, number, &bytes)?;
        let end = frames(&path, number, &bytes, &mut recovery.frames, &mut marks)?;
        recovery.ends.insert(number, end);
    }
    Ok((recovery, marks))
}

/// Returns the frames in `bytes`, the content of segment `number` at `path`.
pub(crate) fn segment_frames(path: &Path, number: u64, bytes: &[u8]) -> Result<Vec<RecoveredFrame>, LogError> {
    check_length(path, number, bytes)?;
    let mut all = Vec::new();
    frames(path, number, bytes, &mut all, &mut BTreeMap::new())?;
    Ok(all)
}

fn check_length(path: &Path, number: u64, bytes: &[u8]) -> Result<(), LogError> {
    match segment::length(number, bytes) {
        Some(length) if length > bytes.len() as u64 => {
            let message = format!("the file was truncated to {} of its {length} bytes", bytes.len());
            Err(LogError::damaged(path, message))
        }
        _ => Ok(()),
    }
}

/// Calls `read` for each segment, and returns the results ordered by segment number.
///
/// The segments are read in descending order: a writer fills a segment before the next one gets its first frame, so no
/// frame is returned without the frames before it. A segment that disappears during the read is no longer needed by any
/// run.
pub(crate) fn segments<T>(
    disk: &dyn Disk,
    dir: &Path,
    read: impl Fn(u64, &Path) -> io::Result<T>,
) -> Result<BTreeMap<u64, T>, LogError> {
    let mut names = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
    'again: loop {
        let mut all = BTreeMap::new();
        for number in names.iter().rev().filter_map(|name| segment::number(name)) {
            let path = segment::path(dir, number);
            match read(number, &path) {
                Ok(part) => drop(all.insert(number, part)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let now = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
                    if now == names {
                        return Err(LogError::io(&path, &error));
                    }
                    names = now;
                    continue 'again;
                }
                Err(error) => return Err(LogError::io(&path, &error)),
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
        disk.open(&path).and_then(|file| file.sync()).map_err(|error| LogError::io(&path, &error))?;
    }
    Ok(())
}

pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    file.read_at(0, length)
}

/// Adds the frames of one segment; returns where they end.
fn frames(
    path: &Path,
    number: u64,
    bytes: &[u8],
    all: &mut Vec<RecoveredFrame>,
    marks: &mut BTreeMap<u64, u64>,
) -> Result<u64, LogError> {
    let has_header = segment::length(number, bytes).is_some();
    // If the header is missing, no part of the segment was ever synced.
    let mut at = if has_header { segment::HEADER as usize } else { bytes.len() };
    loop {
        match frame::read(bytes.get(at..).unwrap_or_default()) {
            ParsedFrame::Frame(frame, length) if frame.kind == MARK => {
                store_mark(marks, frame.body);
                at += length;
            }
            ParsedFrame::Frame(frame, length) => {
                let location = FrameLocation { segment: number, offset: at as u64, length: length as u32 };
                all.push(RecoveredFrame { location, kind: frame.kind, run: frame.run, body: frame.body.to_vec() });
                at += length;
            }
            ParsedFrame::OtherVersion(version) if version < frame::VERSION => {
                return Err(LogError::Older { path: path.to_owned(), found: version });
            }
            ParsedFrame::OtherVersion(version) => {
                let message = format!("it has version {version}, but this program reads version {}", frame::VERSION);
                return Err(LogError::Newer { path: path.to_owned(), message });
            }
            ParsedFrame::End | ParsedFrame::Broken => break,
        }
    }
    let end = if has_header { at } else { 0 };
    later_marks(&bytes[end.min(bytes.len())..], marks);
    Ok(end as u64)
}

/// Finds the marks after the first frame that is not intact; they show whether that frame had been synced.
fn later_marks(bytes: &[u8], marks: &mut BTreeMap<u64, u64>) {
    let mut at = 0;
    // A frame can begin at any byte, but the first byte of its length is not zero if the length is between 1 and 255.
    while at + frame::HEAD <= bytes.len() {
        match frame::read(&bytes[at..]) {
            ParsedFrame::Frame(frame, length) => {
                if frame.kind == MARK {
                    store_mark(marks, frame.body);
                }
                at += length;
            }
            ParsedFrame::End => {
                let zeros = bytes[at..].iter().take_while(|byte| **byte == 0).count();
                // A length begins with a nonzero byte, unless it is a multiple of 256.
                at += zeros.saturating_sub(3).max(1);
            }
            ParsedFrame::Broken | ParsedFrame::OtherVersion(_) => at += 1,
        }
    }
}

fn store_mark(marks: &mut BTreeMap<u64, u64>, body: &[u8]) {
    let Some((segment, synced)) = super::parse_mark(body) else { return };
    let known = marks.entry(segment).or_insert(0);
    *known = synced.max(*known);
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{
        disk::{DiskFile, SystemDisk},
        log::{Log, LogOptions},
    };

    /// A disk that calls a function before it opens the second file.
    struct InterruptedDisk<F>(AtomicUsize, F);

    impl<F> std::fmt::Debug for InterruptedDisk<F> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("interrupted disk")
        }
    }

    impl<F: Fn() + Send + Sync + 'static> Disk for InterruptedDisk<F> {
        fn create_dir(&self, path: &Path) -> io::Result<()> {
            SystemDisk.create_dir(path)
        }

        fn list(&self, path: &Path) -> io::Result<Vec<String>> {
            SystemDisk.list(path)
        }

        fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
            SystemDisk.create(path, length)
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 1 {
                (self.1)();
            }
            SystemDisk.open(path)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            SystemDisk.remove(path)
        }

        fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
            SystemDisk.lock(path)
        }
    }

    #[test]
    fn peeking_while_a_segment_fills_sees_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_min: 1_024, segment_max: 1_024, prepare_ahead: true };
        let (log, _) = Log::open(Arc::new(SystemDisk), folder.path(), options).unwrap();
        let mut last = None;
        for number in 1..=5 {
            last = Some(log.append(1, number, &[7; 100]).unwrap().0);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(log.sync(last.unwrap())).unwrap();
        // The next segment is created ahead: its file exists before it contains any frame.
        let deadline = Instant::now() + Duration::from_secs(30);
        while segment::path(folder.path(), 2).metadata().map_or(0, |file| file.len()) < 1_024 {
            assert!(Instant::now() < deadline, "the next segment is created once this one is half full");
            std::thread::yield_now();
        }
        let disk = InterruptedDisk(AtomicUsize::new(0), move || {
            for number in 6..15 {
                log.append(1, number, &[7; 100]).unwrap();
            }
            log.write_all().unwrap();
        });
        let numbers: Vec<u32> = peek(&disk, folder.path()).unwrap().frames.iter().map(|frame| frame.run).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u32) && numbers.len() > 1, "{numbers:?}");
    }
}
