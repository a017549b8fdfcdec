//! Writes and syncs appended frames.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use llmspell_workflows_basic::targets;

use super::{
    Chunk, Files, FullSegment, LogError, Position, Shared, Tail, lock, segment,
    tail_file::{self, TailFile},
};
use crate::{commit::Commit, disk::DiskFile};

/// After a write that takes longer than this, the writer thread performs all writes until one is
/// faster again.
///
/// A write normally copies bytes to the operating system's memory, which takes a few
/// microseconds.
const FAST_WRITE_MAX: Duration = Duration::from_millis(1);

/// The maximum size of a buffer kept for the next write.
const SPARE_MAX: usize = 1 << 20;

/// Unused space at the end of a segment is freed if it is at least this many bytes.
const FREED_MIN: u64 = 1 << 20;

impl Commit for Shared {
    type Error = LogError;

    fn write(&self) -> Result<u64, LogError> {
        Ok(self.write_all()?.position.0)
    }

    fn write_now(&self) -> Option<Result<u64, LogError>> {
        if self.is_slow.load(Ordering::Relaxed) {
            return None;
        }
        let mut files = self.files.try_lock().ok()?;
        let (chunks, written) = {
            let mut tail = lock(&self.tail);
            // Creating a segment and syncing the previous one both take a long time.
            if tail.fault.is_some() || files.current.as_ref().is_none_or(|(number, _)| *number != tail.segment) {
                return None;
            }
            tail.take(&mut files)
        };
        Some(self.write_chunks(&mut files, chunks).map(|()| written.position.0))
    }

    fn sync(&self) -> Result<u64, LogError> {
        let synced = self.write_all().and_then(|written| self.sync_current().map(|()| written));
        let synced = synced.and_then(|written| self.check_place(&written).map(|()| written));
        let mut tail = lock(&self.tail);
        let written = synced.map_err(|fault| tail.fault.get_or_insert(fault).clone())?;
        // The mark is written before the sync is acknowledged so that damage to acknowledged records can be
        // distinguished from a torn write.
        tail.mark(written.segment, written.offset);
        drop(tail);
        self.write_all()?;
        self.name_segment(&written);
        Ok(written.position.0)
    }

    fn after_sync(&self) {
        self.prepare_next();
        self.write_later_files();
        self.leave_full_segments();
    }

    fn closed() -> LogError {
        LogError::Closed
    }
}

impl Shared {
    /// Checks that the lock and the current segment are still where other processes look for them.
    ///
    /// Without this check, a process whose store was deleted would acknowledge records that are
    /// stored nowhere, and another process could take over the same runs.
    fn check_place(&self, written: &WriteProgress) -> Result<(), LogError> {
        let is_there = self.lock.is_in_place().and_then(|is_locked| {
            let current = lock(&self.files).current.clone().filter(|(number, _)| *number == written.segment);
            Ok(is_locked && current.map_or(Ok(true), |(_, file)| file.is_in_place())?)
        });
        match is_there {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogError::Removed { path: self.dir.clone() }),
            Err(error) => Err(LogError::io(&segment::path(&self.dir, written.segment), &error)),
        }
    }

    /// Names the segment in the tail file once the segment has synced frames.
    fn name_segment(&self, written: &WriteProgress) {
        self.synced_end.store(written.offset, Ordering::Release);
        if self.named.swap(written.segment, Ordering::AcqRel) != written.segment {
            self.write_tail_file(TailFile { segment: written.segment, end: 0 });
        }
    }

    /// Records the end of the synced frames in the tail file.
    pub(super) fn name_end(&self) {
        let (segment, end) = (self.named.load(Ordering::Acquire), self.synced_end.load(Ordering::Acquire));
        if segment > 0 && lock(&self.tail).fault.is_none() {
            self.write_tail_file(TailFile { segment, end });
        }
    }

    /// Frees the unused space of the last segment, since the next process begins a new segment.
    pub(super) fn free_rest(&self) {
        let last = lock(&self.tail).full();
        let current = lock(&self.files).current.clone().filter(|(number, _)| *number == last.number);
        if let Some((_, file)) = current {
            self.free_rest_of(&last, &*file);
        }
    }

    /// Lists the synced full segments that belong in the heads file.
    fn leave_full_segments(&self) {
        let synced = self.named.load(Ordering::Acquire);
        let full: Vec<FullSegment> = lock(&self.full).extract_if(.., |full| full.number < synced).collect();
        self.list_heads(full.iter().filter(|full| full.is_listed).map(|full| full.number));
    }

    /// Frees the unused space of a segment. `file` must be the file written by this process: if the
    /// store was removed meanwhile, a file with the segment's name belongs to another process.
    fn free_rest_of(&self, segment: &FullSegment, file: &dyn DiskFile) {
        if segment.length.saturating_sub(segment.end) >= FREED_MIN
            && let Err(error) = file.free_zeros(segment.end)
        {
            tracing::debug!(target: targets::JOURNAL, path = %self.dir.display(), %error, "could not free space");
        }
    }

    /// Writes the tail file. Without it, only the loss of the last segment would go unnoticed.
    fn write_tail_file(&self, content: TailFile) {
        if let Err(error) = tail_file::write(&*self.disk, &self.dir, content) {
            tracing::debug!(
                target: targets::JOURNAL,
                path = %self.dir.display(),
                %error,
                "could not write the tail file"
            );
        }
    }

    /// Hands all appended data to the operating system; returns the end of the written data.
    fn write_all(&self) -> Result<WriteProgress, LogError> {
        let mut files = lock(&self.files);
        let (chunks, written) = {
            let mut tail = lock(&self.tail);
            if let Some(fault) = &tail.fault {
                return Err(fault.clone());
            }
            tail.take(&mut files)
        };
        self.write_chunks(&mut files, chunks).map(|()| written)
    }

    fn write_chunks(&self, files: &mut Files, mut chunks: Vec<Chunk>) -> Result<(), LogError> {
        if chunks.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        let result =
            self.check_lock().and_then(|()| chunks.iter().try_for_each(|chunk| self.write_chunk(files, chunk)));
        self.is_slow.store(begin.elapsed() > FAST_WRITE_MAX, Ordering::Relaxed);
        if let Some(Chunk { mut bytes, .. }) = chunks.pop().filter(|chunk| chunk.bytes.capacity() <= SPARE_MAX) {
            bytes.clear();
            files.spare = bytes;
        }
        result.map_err(|fault| lock(&self.tail).fault.get_or_insert(fault).clone())
    }

    /// Checks that the lock is still where other processes look for it.
    ///
    /// While this process was suspended, another process may have replaced the lock and read the
    /// same segments.
    fn check_lock(&self) -> Result<(), LogError> {
        match self.lock.is_in_place() {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogError::Removed { path: self.dir.clone() }),
            Err(error) => Err(LogError::io(&self.dir, &error)),
        }
    }

    fn write_chunk(&self, files: &mut Files, chunk: &Chunk) -> Result<(), LogError> {
        let path = segment::path(&self.dir, chunk.segment);
        let io_error = |error: io::Error| LogError::io(&path, &error);
        if files.current.as_ref().is_none_or(|(number, _)| *number != chunk.segment) {
            // The next segment's mark will state that this segment is synced.
            if let Some((number, last)) = &files.current {
                last.sync().map_err(|error| LogError::io(&segment::path(&self.dir, *number), &error))?;
                let full = lock(&self.full).iter().find(|full| full.number == *number).copied();
                full.iter().for_each(|full| self.free_rest_of(full, &**last));
            }
            files.current = Some((chunk.segment, self.segment_file(files, chunk).map_err(io_error)?));
        }
        let (_, file) = files.current.as_ref().expect("the segment was opened above");
        file.write_at(chunk.offset, &chunk.bytes).map_err(io_error)
    }

    fn segment_file(&self, files: &mut Files, chunk: &Chunk) -> io::Result<Arc<dyn DiskFile>> {
        let path = segment::path(&self.dir, chunk.segment);
        if let Some((_, creation)) = files.prepared.take_if(|(number, _)| *number == chunk.segment) {
            let file = creation.join().map_err(|_| io::Error::other("the thread that created it ended early"))??;
            if file.length()? >= chunk.length {
                return Ok(file.into());
            }
            // The prepared segment is too short for a very long frame.
            drop(file);
            self.disk.remove(&path)?;
        }
        self.disk.create(&path, chunk.length).map(Into::into)
    }

    fn write_later_files(&self) {
        // The list is unlocked first, since threads that append to it may hold locks that
        // `contents` takes.
        let later = std::mem::take(&mut *lock(&self.later));
        for (path, contents) in later {
            let bytes = contents();
            let written = self.disk.create(&path, bytes.len() as u64).and_then(|file| file.write_at(0, &bytes));
            if let Err(error) = written {
                tracing::debug!(target: targets::JOURNAL, path = %path.display(), %error, "could not write an index");
            }
        }
    }

    fn sync_current(&self) -> Result<(), LogError> {
        // The sync runs outside the lock so that writes can continue.
        let current = lock(&self.files).current.clone();
        if let Some((number, file)) = current {
            file.sync().map_err(|error| LogError::io(&segment::path(&self.dir, number), &error))?;
        }
        // If another sync has failed, the success of this one does not repair the log.
        lock(&self.tail).fault.clone().map_or(Ok(()), Err)
    }

    /// Creates the next segment while the current one still has room.
    fn prepare_next(&self) {
        if !self.options.prepare_ahead {
            return;
        }
        let mut files = lock(&self.files);
        // A prepared segment is always used, since segments are written in order and without gaps.
        if files.prepared.is_some() {
            return;
        }
        let (number, length) = {
            let tail = lock(&self.tail);
            if tail.fault.is_some() || tail.offset < tail.length / 2 {
                return;
            }
            (tail.segment + 1, (tail.length * 2).min(self.options.segment_max))
        };
        let (disk, path) = (self.disk.clone(), segment::path(&self.dir, number));
        let builder = std::thread::Builder::new().name("spellflow-segment".to_owned());
        // If no thread can be spawned, the segment is created when it is needed.
        files.prepared = builder.spawn(move || disk.create(&path, length)).ok().map(|creation| (number, creation));
    }
}

impl Tail {
    /// Takes the unwritten data, and returns the position of the log after that data is written.
    fn take(&mut self, files: &mut Files) -> (Vec<Chunk>, WriteProgress) {
        // The operating system would have to zero a new buffer for each write.
        if self.spare.capacity() == 0 || !self.pending.is_empty() {
            self.spare = std::mem::take(&mut files.spare);
        }
        let written = WriteProgress { position: Position(self.appended), segment: self.segment, offset: self.offset };
        (std::mem::take(&mut self.pending), written)
    }
}

/// How much of the log has been handed to the operating system.
pub(super) struct WriteProgress {
    position: Position,
    segment: u64,
    offset: u64,
}
