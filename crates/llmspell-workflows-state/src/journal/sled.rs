use std::path::Path;

use super::{Journal, JournalError, JournalWrapper, keyed::Keyed};
use crate::folder::{Folder, Sled};

/// A journal on sled 0.34, in a folder that only one process can open at a time.
///
/// Opening the journal reads all records of live runs. sled keeps data in memory until it is flushed, so
/// [`Journal::write`] waits until the bytes are on their way to the disk. A sync also syncs sled's files, since sled
/// itself does not.
#[derive(Debug)]
pub struct SledJournal(Keyed);

impl SledJournal {
    /// Opens the journal in the folder `dir`, which is created if missing.
    ///
    /// # Errors
    /// Returns an error if another process has the journal open, or if the journal cannot be read or has lost
    /// acknowledged records.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Ok(Self(Keyed::open(Folder::<Sled>::open(dir.as_ref())?)?))
    }
}

impl JournalWrapper for SledJournal {
    fn inner(&self) -> &dyn Journal {
        &self.0
    }
}
