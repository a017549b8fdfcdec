//! The write-ahead log: frames in segments. Many threads append frames; one thread syncs them for all.
//!
//! [`Log::append`] reserves space in memory and never touches the disk. [`Log::write`] returns once a frame has been
//! handed to the operating system and survives this process; [`Log::sync`] returns once the frame survives a power
//! loss. Two threads do the work for all waiters: frames that arrive while the disk is busy share the next write or
//! sync. While writes are fast, a caller that waits for a short write makes it itself. A failed write or sync closes the
//! log, since it is unknown how much of the data is on the disk; all later writes and syncs are rejected.

mod committer;
pub(crate) mod frame;
mod read;
pub(crate) mod recover;
pub(crate) mod segment;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread::JoinHandle,
};

use llmspell_workflows_basic::sync::lock;

pub(crate) use recover::Recovery;

use crate::{
    commit::{Commit, Committer},
    disk::{Disk, DiskFile},
};

/// The kind of frame that says how far a segment has been synced. All other kinds belong to the log's users.
pub(crate) const MARK: u8 = 0;

/// The location of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Whether a thread creates the next segment while there is still room in the current one.
    pub prepare_ahead: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_min: 256 << 10, segment_max: 8 << 20, prepare_ahead: true }
    }
}

/// Why a log cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The operating system reported an error.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        message: String,
    },
    /// Synced data is missing or damaged.
    #[error("{} is damaged: {message}; restore it from a backup, or move it away to start without its runs", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A later version of this program wrote the file.
    #[error("{} is newer than this program: {message}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that was found.
        message: String,
    },
    /// An earlier version of this program wrote the file.
    #[error(
        "{} was written in format {found}, which this version does not read; finish or export its runs with the \
         program that wrote it, or move the folder away to start without them",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The format that was found.
        found: u8,
    },
    /// The log has been closed.
    #[error("the log has been closed")]
    Closed,
}

impl LogError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "journal_failed"
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), message: error.to_string() }
    }

    fn damaged(path: &Path, message: String) -> Self {
        Self::Damaged { path: path.to_owned(), message }
    }
}

/// A log that is open for appending.
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
    /// Whether the last write took so long that the thread that runs a step should not make the next one.
    is_slow: AtomicBool,
    /// Files that describe full segments; they are written after the next sync.
    later: Mutex<Vec<LaterFile>>,
    /// The first segment that this process writes.
    first: u64,
}

/// The end of the log, where frames are appended.
struct Tail {
    pending: Vec<Chunk>,
    segment: u64,
    offset: u64,
    /// The length of the segment.
    length: u64,
    appended: u64,
    fault: Option<LogError>,
    is_closing: bool,
}

/// Contiguous bytes of one segment.
struct Chunk {
    segment: u64,
    length: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// The path of a file that nothing depends on, and the function that creates its contents.
type LaterFile = (PathBuf, Box<dyn FnOnce() -> Vec<u8> + Send>);

/// A segment that is being created in a separate thread.
type SegmentCreation = JoinHandle<io::Result<Box<dyn DiskFile>>>;

#[derive(Default)]
struct Files {
    current: Option<(u64, Arc<dyn DiskFile>)>,
    /// The next segment, created before it is needed.
    prepared: Option<(u64, SegmentCreation)>,
    /// The segment that was read last.
    read: Option<(u64, Arc<dyn DiskFile>)>,
}

impl Log {
    /// Opens the log in `dir`, which no other process may have open, and reads its frames.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, options: LogOptions) -> Result<(Self, Recovery), LogError> {
        disk.create_dir(dir).map_err(|error| LogError::io(dir, &error))?;
        let recovery = recover::recover(&*disk, dir)?;
        // Never append to a segment that a crash may have left torn.
        let segment = recovery.ends.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut tail = Tail {
            pending: Vec::new(),
            segment,
            offset: 0,
            length: options.segment_min,
            appended: 0,
            fault: None,
            is_closing: false,
        };
        tail.begin_segment(&recovery.ends.iter().map(|(segment, end)| (*segment, *end)).collect::<Vec<_>>());
        let shared = Arc::new(Shared {
            disk,
            dir: dir.to_owned(),
            options,
            tail: Mutex::new(tail),
            files: Mutex::default(),
            is_slow: AtomicBool::new(false),
            later: Mutex::default(),
            first: segment,
        });
        let committer = Committer::start(shared.clone()).map_err(|error| LogError::io(dir, &error))?;
        Ok((Self { shared, committer: Some(committer) }, recovery))
    }

    /// Appends a frame in memory; it is neither written nor synced yet.
    pub(crate) fn append(&self, kind: u8, run: u32, body: &[u8]) -> Result<(Position, FrameLocation), LogError> {
        let mut tail = lock(&self.shared.tail);
        tail.check()?;
        let needed = (frame::HEAD + body.len()) as u64;
        if tail.offset + needed > tail.length {
            let end = (tail.segment, tail.offset);
            tail.segment += 1;
            tail.length = (tail.length * 2).min(self.shared.options.segment_max).max(needed + 2 * segment::HEADER + 64);
            tail.begin_segment(&[end]);
        }
        let location = tail.push(kind, run, body);
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

    /// Hands everything appended to the operating system; blocks on the disk.
    pub(crate) fn write_all(&self) -> Result<(), LogError> {
        self.shared.write().map(drop)
    }

    fn committer(&self) -> Result<&Committer<Shared>, LogError> {
        lock(&self.shared.tail).check()?;
        self.committer.as_ref().ok_or(LogError::Closed)
    }

    /// Removes a segment that is no longer needed; blocks on the disk. Returns `false` if the segment is kept because
    /// it is still being written.
    pub(crate) fn remove(&self, number: u64, about: &Path) -> Result<bool, LogError> {
        // Pending bytes may belong to the segment that was written last or to any later segment.
        let written = lock(&self.shared.files).current.as_ref().map_or(self.shared.first, |(number, _)| *number);
        if number >= written {
            return Ok(false);
        }
        let path = segment::path(&self.shared.dir, number);
        lock(&self.shared.files).read.take_if(|(read, _)| *read == number);
        // The file about this segment may not have been written yet; without the segment it is useless.
        lock(&self.shared.later).retain(|(later, _)| later != about);
        let _ = self.shared.disk.remove(about);
        self.shared.disk.remove(&path).map_err(|error| LogError::io(&path, &error))?;
        Ok(true)
    }

    /// Returns the folder that contains the log.
    pub(crate) fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Writes a new file after the next sync, on the thread that syncs. The file is optional: if it cannot be written,
    /// it is left out.
    pub(crate) fn write_later(&self, path: PathBuf, contents: impl FnOnce() -> Vec<u8> + Send + 'static) {
        lock(&self.shared.later).push((path, Box::new(contents)));
    }
}

impl Drop for Log {
    /// Writes everything appended; blocks on the disk. Frames that no one waited for need not be synced.
    fn drop(&mut self) {
        lock(&self.shared.tail).is_closing = true;
        drop(self.committer.take());
        let prepared = lock(&self.shared.files).prepared.take();
        if let Some((_, creation)) = prepared {
            // The segment that was created ahead is not needed, but the next process that opens the folder must not see
            // it half created.
            drop(creation.join());
        }
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

    /// Begins the segment `self.segment`; `ended` gives the offset at which the data of each earlier segment ends.
    fn begin_segment(&mut self, ended: &[(u64, u64)]) {
        self.offset = 0;
        let header = segment::header(self.segment, self.length);
        self.extend(|bytes| bytes.extend_from_slice(&header));
        for (number, end) in ended {
            self.mark(*number, *end);
        }
    }

    fn mark(&mut self, number: u64, end: u64) {
        let mut body = number.to_le_bytes().to_vec();
        body.extend_from_slice(&end.to_le_bytes());
        self.push(MARK, 0, &body);
    }

    fn push(&mut self, kind: u8, run: u32, body: &[u8]) -> FrameLocation {
        let offset = self.offset;
        let length = self.extend(|bytes| frame::write(bytes, kind, run, body));
        FrameLocation { segment: self.segment, offset, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// Appends the bytes that `write` produces; returns their number.
    fn extend(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        if self.pending.last().is_none_or(|chunk| chunk.segment != self.segment) {
            let (segment, length, offset) = (self.segment, self.length, self.offset);
            self.pending.push(Chunk { segment, length, offset, bytes: Vec::new() });
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

/// Parses a mark: the number of a segment, and the offset up to which it has been synced.
fn parse_mark(body: &[u8]) -> Option<(u64, u64)> {
    let number = |range: std::ops::Range<usize>| Some(u64::from_le_bytes(body.get(range)?.try_into().ok()?));
    Some((number(0..8)?, number(8..16)?))
}
