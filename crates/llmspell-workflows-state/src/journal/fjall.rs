use std::path::Path;

use super::{Around, Journal, JournalError, keyed::Keyed};
use crate::folder::{Fjall, Folder};

/// A journal on fjall, in a folder that one process has open at a time.
///
/// Opening it reads all records of live runs. A sync and a write wait for each other, since fjall holds one lock for
/// both.
#[derive(Debug)]
pub struct FjallJournal(Keyed);

impl FjallJournal {
    /// The journal in the folder `dir`, which is made where there is none.
    ///
    /// # Errors
    /// Another process has it, it cannot be read, or it has lost what was acknowledged.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Ok(Self(Keyed::open(Folder::<Fjall>::open(dir.as_ref())?)?))
    }
}

impl Around for FjallJournal {
    fn inner(&self) -> &dyn Journal {
        &self.0
    }
}
