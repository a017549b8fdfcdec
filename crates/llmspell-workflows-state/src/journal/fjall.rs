use std::path::Path;

use super::{Journal, JournalError, JournalWrapper, keyed::Keyed};
use crate::folder::{Fjall, Folder};

/// A journal on fjall, in a folder that only one process can open at a time.
///
/// Opening the journal reads all records of live runs. Syncs and writes wait for each other, since fjall uses one lock
/// for both.
#[derive(Debug)]
pub struct FjallJournal(Keyed);

impl FjallJournal {
    /// Opens the journal in the folder `dir`, which is created if missing.
    ///
    /// # Errors
    /// Returns an error if another process has the journal open, or if the journal cannot be read or has lost
    /// acknowledged records.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Ok(Self(Keyed::open(Folder::<Fjall>::open(dir.as_ref())?)?))
    }
}

impl JournalWrapper for FjallJournal {
    fn inner(&self) -> &dyn Journal {
        &self.0
    }
}
