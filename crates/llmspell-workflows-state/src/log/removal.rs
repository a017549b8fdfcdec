//! Removes unneeded segments.

use std::path::{Path, PathBuf};

use super::{FREED, Log, LogError, lock, segment};
use crate::commit::Commit;

impl Log {
    /// Removes the unneeded `segments`, each together with its `about` file; blocks on the disk.
    /// Returns the segments kept because they are still being written.
    ///
    /// The segments are first marked as freed, and the marks are synced together with all other
    /// data. A lost segment can then be distinguished from a removed one, and no removal survives a
    /// power loss without the frames that caused it.
    pub(crate) fn remove(&self, mut segments: Vec<u64>, about: impl Fn(u64) -> PathBuf) -> Result<Vec<u64>, LogError> {
        // Pending bytes may belong to the last written segment or to any later segment.
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
        // The file about this segment may not have been written yet, and is useless without the
        // segment.
        lock(&self.shared.later).retain(|(later, _)| later != about);
        let _ = self.shared.disk.remove(about);
        lock(&self.shared.full).retain(|full| full.number != number);
        lock(&self.shared.heads).forget(number);
        let path = segment::path(&self.shared.dir, number);
        match self.shared.disk.remove(&path) {
            // An earlier, interrupted removal deleted the file, or its loss is known damage.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| LogError::io(&path, &error)),
        }
    }
}
