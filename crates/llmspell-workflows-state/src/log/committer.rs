//! The one thread that syncs, and the writing that anyone may do.

use std::{io, sync::Arc, thread::JoinHandle};

use llmspell_workflows_basic::targets;
use tracing::field;

use super::{Chunk, Files, LogError, Position, Shared, lock, segment};
use crate::disk::DiskFile;

/// Starts the thread; it ends when the log is closing and all that was appended is written.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("spellflow-log".to_owned()).spawn(move || {
        while shared.wait_for_work() {
            shared.commit();
        }
        // A fault has been told to everyone who waited.
        let _ = shared.write();
    })
}

impl Shared {
    /// Waits until someone waits for a sync; `false`: the log is closing.
    fn wait_for_work(&self) -> bool {
        let mut tail = lock(&self.tail);
        while tail.waiting.is_empty() {
            if tail.is_closing {
                return false;
            }
            tail = self.bell.wait(tail).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        true
    }

    /// One sync for all who wait now.
    fn commit(&self) {
        let span = tracing::trace_span!(target: targets::JOURNAL, "commit", waiting = field::Empty).entered();
        let result = self.write().and_then(|written| self.sync().map(|()| written));
        let mut tail = lock(&self.tail);
        let done: Vec<_> = match &result {
            Ok(written) => tail.waiting.extract_if(.., |(position, _)| *position <= written.position).collect(),
            Err(fault) => {
                tail.fault.get_or_insert_with(|| fault.clone());
                tail.waiting.drain(..).collect()
            }
        };
        let result = result.and_then(|written| {
            // Before anyone hears of it, so that damage to what was acknowledged is told from a torn write.
            tail.mark(written.segment, written.offset);
            drop(tail);
            self.write()?;
            lock(&self.tail).synced = written.position.0;
            Ok(())
        });
        span.record("waiting", done.len());
        tracing::trace!(target: targets::JOURNAL, error = result.as_ref().err().map(field::display), "synced");
        for (_, says) in done {
            // Whoever does not wait any more does not need to know.
            let _ = says.send(result.clone());
        }
        self.prepare_next();
    }

    /// Hands all that was appended to the system; returns how far that is.
    pub(super) fn write(&self) -> Result<Written, LogError> {
        let mut files = lock(&self.files);
        let (chunks, written) = {
            let mut tail = lock(&self.tail);
            if let Some(fault) = &tail.fault {
                return Err(fault.clone());
            }
            let written = Written { position: Position(tail.appended), segment: tail.segment, offset: tail.offset };
            (std::mem::take(&mut tail.pending), written)
        };
        let result = chunks.iter().try_for_each(|chunk| self.write_chunk(&mut files, chunk));
        result.map_err(|fault| lock(&self.tail).fault.get_or_insert(fault).clone())?;
        Ok(written)
    }

    fn write_chunk(&self, files: &mut Files, chunk: &Chunk) -> Result<(), LogError> {
        let path = segment::path(&self.dir, chunk.segment);
        let told = |error: io::Error| LogError::io(&path, &error);
        if files.current.as_ref().is_none_or(|(number, _)| *number != chunk.segment) {
            // The next segment says how far this one has been synced.
            if let Some((number, last)) = &files.current {
                last.sync().map_err(|error| LogError::io(&segment::path(&self.dir, *number), &error))?;
            }
            files.current = Some((chunk.segment, self.segment_file(files, chunk).map_err(told)?));
        }
        let (_, file) = files.current.as_ref().expect("it was opened above");
        file.write_at(chunk.offset, &chunk.bytes).map_err(told)
    }

    fn segment_file(&self, files: &mut Files, chunk: &Chunk) -> io::Result<Arc<dyn DiskFile>> {
        let path = segment::path(&self.dir, chunk.segment);
        if let Some((number, making)) = files.prepared.take() {
            let made = making.join().map_err(|_| io::Error::other("the thread that made it ended early"))?;
            if number == chunk.segment {
                let file = made?;
                if file.length()? >= chunk.length {
                    return Ok(file.into());
                }
                // One very long frame needs a longer one.
                drop(file);
                self.disk.remove(&path)?;
            }
        }
        self.disk.create(&path, chunk.length).map(Into::into)
    }

    fn sync(&self) -> Result<(), LogError> {
        // Outside of the lock: others go on writing meanwhile.
        let current = lock(&self.files).current.clone();
        if let Some((number, file)) = current {
            file.sync().map_err(|error| LogError::io(&segment::path(&self.dir, number), &error))?;
        }
        // A sync that failed for someone else is not made good by one that succeeds afterwards.
        lock(&self.tail).fault.clone().map_or(Ok(()), Err)
    }

    /// Makes the next segment while there is still room in this one.
    fn prepare_next(&self) {
        if !self.options.prepare_ahead {
            return;
        }
        let (number, length) = {
            let tail = lock(&self.tail);
            if tail.fault.is_some() || tail.offset < tail.length / 2 {
                return;
            }
            (tail.segment + 1, (tail.length * 2).min(self.options.segment_max))
        };
        let mut files = lock(&self.files);
        if files.prepared.as_ref().is_some_and(|(prepared, _)| *prepared == number) {
            return;
        }
        let (disk, path) = (self.disk.clone(), segment::path(&self.dir, number));
        let making = std::thread::Builder::new().name("spellflow-segment".to_owned());
        // Where no thread can be had, the segment is made when it is needed.
        files.prepared = making.spawn(move || disk.create(&path, length)).ok().map(|making| (number, making));
    }
}

/// How far everything has been handed to the system.
pub(super) struct Written {
    position: Position,
    segment: u64,
    offset: u64,
}
