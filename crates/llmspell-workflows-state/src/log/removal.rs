//! Removes segments that are no longer needed.

use std::path::{Path, PathBuf};

use super::{FREED, Log, LogError, lock, segment};
use crate::commit::Commit;

impl Log {
    /// Removes the `segments` that are no longer needed, each with the file `about` it; blocks on the disk. Returns the
    /// segments that are kept because they are still being written.
    ///
    /// The segments are first marked as freed, and the marks are synced together with everything else: a lost segment
    /// can then be distinguished from one that was removed, and no removal survives a power loss without its reason.
    pub(crate) fn remove(&self, mut segments: Vec<u64>, about: impl Fn(u64) -> PathBuf) -> Result<Vec<u64>, LogError> {
        // Pending bytes may belong to the segment that was written last or to any later segment.
        let written = lock(&self.shared.files).current.as_ref().map_or(self.shared.first, |(number, _)| *number);
        let kept = segments.extract_if(.., |number| *number >= written).collect();
        if segments.is_empty() {
            return Ok(kept);
        }
        {
            let mut tail = lock(&self.shared.tail);
            for number in &segments {
                tail.earlier.remove(number);
                tail.mark(*number, FREED);
            }
        }
        self.shared.sync()?;
        segments.iter().try_for_each(|number| self.remove_file(*number, &about(*number)))?;
        Ok(kept)
    }

    fn remove_file(&self, number: u64, about: &Path) -> Result<(), LogError> {
        lock(&self.shared.files).read.take_if(|(read, _)| *read == number);
        // The file about this segment may not have been written yet; without the segment it is useless.
        lock(&self.shared.later).retain(|(later, _)| later != about);
        let _ = self.shared.disk.remove(about);
        lock(&self.shared.full).retain(|full| full.number != number);
        lock(&self.shared.heads).forget(number);
        let path = segment::path(&self.shared.dir, number);
        match self.shared.disk.remove(&path) {
            // An earlier process removed it, but the removal was interrupted or is damage that is known.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| LogError::io(&path, &error)),
        }
    }
}
