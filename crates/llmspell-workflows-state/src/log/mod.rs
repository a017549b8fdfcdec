//! The write-ahead log, which stores frames in segments. Many threads append frames; one
//! thread syncs them for all.
//!
//! [`Log::append`] reserves space in memory and never touches the disk. [`Log::write`] returns once
//! a frame has been handed to the operating system and survives this process; [`Log::sync`] returns
//! once the frame survives a power loss. Two threads do the work for all waiters: frames that
//! arrive while the disk is busy share the next write or sync. While writes are fast, a caller
//! waiting for a short write performs it directly. A failed write or sync closes the log, since an
//! unknown part of the data is on the disk. All later writes and syncs are rejected.

mod committer;
mod error;
pub(crate) mod frame;
pub(crate) mod heads;
pub(crate) mod read;
pub(crate) mod recover;
mod removal;
pub(crate) mod scan;
pub(crate) mod segment;
mod tail_file;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    thread::JoinHandle,
};

use llmspell_workflows_basic::sync::lock;

pub use error::LogError;
pub(crate) use recover::{LogDamage, LogItem, Recovery};

use crate::{
    commit::Committer,
    disk::{Disk, DiskFile, DiskLock},
};
use frame::Frame;
use heads::Heads;
use scan::KeepBody;

/// The kind of a frame that records how far a segment has been synced. Users of the log define all
/// other kinds.
pub(crate) const MARK: u8 = 0;

/// The offset in the mark of an unneeded segment that is about to be removed.
const FREED: u64 = u64::MAX;

/// The location of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A position in the log, as the number of bytes appended since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl From<u64> for Position {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// The layout of a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The length of the first segment in bytes; each following segment is twice as long.
    pub segment_min: u64,
    /// The maximum length of a segment in bytes.
    pub segment_max: u64,
    /// Whether a thread creates the next segment while the current one still has room.
    pub prepare_ahead: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_min: 256 << 10, segment_max: 8 << 20, prepare_ahead: true }
    }
}

/// A log open for appending.
pub(crate) struct Log {
    shared: Arc<Shared>,
    /// Taken when the log is closed, before anything else is dropped.
    committer: Option<Committer<Shared>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: LogOptions,
    tail: Mutex<Tail>,
    files: Mutex<Files>,
    /// Whether the last write was too slow for a step's thread to perform the next one.
    is_slow: AtomicBool,
    /// Files that describe full segments, to be written after the next sync.
    later: Mutex<Vec<LaterFile>>,
    /// Full segments that have not been considered for the heads file yet.
    full: Mutex<Vec<FullSegment>>,
    heads: Mutex<Heads>,
    /// The first segment that this process writes.
    first: u64,
    /// The lock on the log's folder.
    lock: Arc<dyn DiskLock>,
    /// The segment named in the tail file.
    named: AtomicU64,
    /// The offset up to which the named segment has been synced.
    synced_end: AtomicU64,
}

/// The end of the log, where frames are appended.
struct Tail {
    pending: Vec<Chunk>,
    /// The buffer for the next chunk.
    spare: Vec<u8>,
    segment: u64,
    offset: u64,
    /// The number of bytes of marks in the segment.
    marks: u64,
    /// The number of bytes of bulk in the segment.
    bulk: u64,
    /// The length of the segment.
    length: u64,
    /// The existing earlier segments, with the end offsets of their frames.
    earlier: BTreeMap<u64, u64>,
    appended: u64,
    fault: Option<LogError>,
    is_closing: bool,
}

/// A segment that receives no more frames.
#[derive(Debug, Clone, Copy)]
struct FullSegment {
    number: u64,
    length: u64,
    /// The end offset of the segment's frames.
    end: u64,
    /// Whether to list the segment in the heads file once it has been synced.
    is_listed: bool,
}

/// Contiguous bytes of one segment.
struct Chunk {
    segment: u64,
    length: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// The path of an optional file, and the function that creates its contents.
type LaterFile = (PathBuf, Box<dyn FnOnce() -> Vec<u8> + Send>);

/// A segment being created in a separate thread.
type SegmentCreation = JoinHandle<io::Result<Box<dyn DiskFile>>>;

#[derive(Default)]
struct Files {
    current: Option<(u64, Arc<dyn DiskFile>)>,
    /// The next segment, created before it is needed.
    prepared: Option<(u64, SegmentCreation)>,
    /// The buffer of the last write, for reuse.
    spare: Vec<u8>,
    /// The segment read last.
    read: Option<(u64, Arc<dyn DiskFile>)>,
}

impl Log {
    /// Opens the log in `dir`, locked by `lock`, and reads its frames; `keep` says how much of
    /// their bodies to keep.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        lock: Arc<dyn DiskLock>,
        options: LogOptions,
        keep: KeepBody,
    ) -> Result<(Self, Recovery), LogError> {
        disk.create_dir(dir).map_err(|error| LogError::io(dir, &error))?;
        let heads = Heads::open(&*disk, dir).map_err(|error| LogError::io(dir, &error))?;
        let recovery = recover::recover(&*disk, dir, keep)?;
        // Never append to a segment that a crash may have left torn.
        let segment = recovery.next;
        let mut tail = Tail {
            pending: Vec::new(),
            spare: Vec::new(),
            segment,
            offset: 0,
            marks: 0,
            bulk: 0,
            length: options.segment_min,
            earlier: recovery.ends.clone(),
            appended: 0,
            fault: None,
            is_closing: false,
        };
        tail.begin_segment();
        let shared = Arc::new(Shared {
            disk,
            dir: dir.to_owned(),
            options,
            tail: Mutex::new(tail),
            files: Mutex::default(),
            is_slow: AtomicBool::new(false),
            later: Mutex::default(),
            full: Mutex::default(),
            heads: Mutex::new(heads),
            first: segment,
            lock,
            named: AtomicU64::new(0),
            synced_end: AtomicU64::new(0),
        });
        let committer = Committer::start(shared.clone()).map_err(|error| LogError::io(dir, &error))?;
        Ok((Self { shared, committer: Some(committer) }, recovery))
    }

    /// Appends a frame in memory; it is neither written nor synced yet.
    pub(crate) fn append(&self, frame: Frame<'_>) -> Result<(Position, FrameLocation), LogError> {
        let mut tail = lock(&self.shared.tail);
        tail.check()?;
        let needed = frame.length();
        if tail.offset + needed > tail.length {
            let full = tail.full();
            tail.earlier.insert(full.number, full.end);
            lock(&self.shared.full).push(full);
            tail.segment += 1;
            // A segment created for an oversized frame leaves some room for later frames.
            let segment_max = self.shared.options.segment_max;
            let least = needed + segment::HEADER + tail.marks_length() + segment_max / 256;
            tail.length = (tail.length * 2).min(segment_max).max(least);
            tail.begin_segment();
        }
        tail.bulk += frame.bulk.len() as u64;
        let location = tail.push(frame);
        Ok((Position(tail.appended), location))
    }

    /// Waits until everything up to `position` survives this process.
    pub(crate) async fn write(&self, position: Position) -> Result<(), LogError> {
        self.committer()?.written(position.0).await
    }

    /// Waits until everything up to `position` survives a power loss.
    pub(crate) async fn sync(&self, position: Position) -> Result<(), LogError> {
        self.committer()?.synced(position.0).await
    }

    /// Hands all appended data to the operating system; blocks on the disk.
    pub(crate) fn write_all(&self) -> Result<(), LogError> {
        crate::commit::Commit::write(&*self.shared).map(drop)
    }

    /// Returns whether the full segment `number` is listed in the heads file, or will be.
    pub(crate) fn lists(&self, number: u64) -> bool {
        lock(&self.shared.full).iter().any(|full| full.number == number && full.is_listed)
            || lock(&self.shared.heads).lists(number)
    }

    fn committer(&self) -> Result<&Committer<Shared>, LogError> {
        lock(&self.shared.tail).check()?;
        self.committer.as_ref().ok_or(LogError::Closed)
    }

    /// Returns the approximate disk usage in bytes of each segment before the current one.
    pub(crate) fn older_segments(&self) -> Vec<u64> {
        let least = self.shared.options.segment_min;
        lock(&self.shared.tail).earlier.values().map(|end| *end.max(&least)).collect()
    }

    /// Returns how many segments `bytes` would take in an empty log.
    pub(crate) fn segments_for(&self, bytes: u64) -> usize {
        let LogOptions { segment_min, segment_max, .. } = self.shared.options;
        let (mut count, mut length, mut left) = (0, segment_min.max(1), bytes);
        while left > 0 {
            count += 1;
            left = left.saturating_sub(length);
            length = (length * 2).min(segment_max.max(1));
        }
        count
    }

    /// Returns the lock on the folder; the folder stays locked while the lock or the log exists.
    pub(crate) fn lock(&self) -> Arc<dyn DiskLock> {
        self.shared.lock.clone()
    }

    /// Returns the folder that contains the log.
    pub(crate) fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Writes a new file after the next sync, on the sync thread. The file is optional: a failure
    /// to write it is ignored.
    pub(crate) fn write_later(&self, path: PathBuf, contents: impl FnOnce() -> Vec<u8> + Send + 'static) {
        lock(&self.shared.later).push((path, Box::new(contents)));
    }
}

impl Drop for Log {
    /// Writes all appended frames; blocks on the disk. Frames without a waiter need no sync.
    fn drop(&mut self) {
        lock(&self.shared.tail).is_closing = true;
        drop(self.committer.take());
        let prepared = lock(&self.shared.files).prepared.take();
        if let Some((number, creation)) = prepared {
            // The segment created ahead is not needed. If it remains, the next process skips it.
            drop(creation.join());
            let _ = self.shared.disk.remove(&segment::path(&self.shared.dir, number));
        }
        self.shared.name_end();
        self.shared.free_rest();
    }
}

impl Tail {
    fn check(&self) -> Result<(), LogError> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.is_closing => Err(LogError::Closed),
            None => Ok(()),
        }
    }

    /// Begins segment `self.segment` with a mark for each earlier segment.
    fn begin_segment(&mut self) {
        (self.offset, self.marks, self.bulk) = (0, 0, 0);
        let header = segment::header(self.segment, self.length);
        self.extend(|bytes| bytes.extend_from_slice(&header));
        let earlier: Vec<_> = self.earlier.iter().map(|(number, end)| (*number, *end)).collect();
        for (number, end) in earlier {
            self.mark(number, end);
        }
    }

    /// Returns the current segment as a full segment.
    fn full(&self) -> FullSegment {
        let Self { segment: number, length, offset: end, marks, bulk, .. } = *self;
        FullSegment { number, length, end, is_listed: heads::is_listed(bulk, end.saturating_sub(bulk + marks)) }
    }

    /// Returns the length of the marks at the beginning of the next segment.
    fn marks_length(&self) -> u64 {
        self.earlier.len() as u64 * (frame::HEAD + MARK_BODY) as u64
    }

    fn mark(&mut self, number: u64, end: u64) {
        let mut body = number.to_le_bytes().to_vec();
        body.extend_from_slice(&end.to_le_bytes());
        let location = self.push(Frame { kind: MARK, body: &body, ..Frame::default() });
        self.marks += u64::from(location.length);
    }

    fn push(&mut self, frame: Frame<'_>) -> FrameLocation {
        let offset = self.offset;
        let length = self.extend(|bytes| frame::write(bytes, frame));
        FrameLocation { segment: self.segment, offset, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// Appends the bytes that `write` produces; returns their number.
    fn extend(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        if self.pending.last().is_none_or(|chunk| chunk.segment != self.segment) {
            let (segment, length, offset) = (self.segment, self.length, self.offset);
            self.pending.push(Chunk { segment, length, offset, bytes: std::mem::take(&mut self.spare) });
        }
        let Some(chunk) = self.pending.last_mut() else { unreachable!("a chunk was pushed above") };
        let before = chunk.bytes.len();
        write(&mut chunk.bytes);
        let added = (chunk.bytes.len() - before) as u64;
        self.offset += added;
        self.appended += added;
        added
    }
}

/// The length of a mark's body.
const MARK_BODY: usize = 16;

/// Parses a mark: the number of a segment, and the offset up to which it has been synced.
fn parse_mark(body: &[u8]) -> Option<(u64, u64)> {
    let number = |range: std::ops::Range<usize>| Some(u64::from_le_bytes(body.get(range)?.try_into().ok()?));
    Some((number(0..8)?, number(8..16)?))
}
