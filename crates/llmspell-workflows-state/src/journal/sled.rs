use std::path::Path;

use super::{Around, Journal, JournalError, keyed::Keyed};
use crate::folder::{Folder, Sled};

/// A journal on sled 0.34, in a folder that one process has open at a time.
///
/// Opening it reads all records of live runs. sled keeps what it is given in memory until it is told to write, so
/// [`Journal::write`] waits until the bytes are on their way to the disk; a sync also waits for its files, since sled
/// itself does not.
#[derive(Debug)]
pub struct SledJournal(Keyed);

impl SledJournal {
    /// The journal in the folder `dir`, which is made where there is none.
    ///
    /// # Errors
    /// Another process has it, it cannot be read, or it has lost what was acknowledged.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Ok(Self(Keyed::open(Folder::<Sled>::open(dir.as_ref())?)?))
    }
}

impl Around for SledJournal {
    fn inner(&self) -> &dyn Journal {
        &self.0
    }
}
