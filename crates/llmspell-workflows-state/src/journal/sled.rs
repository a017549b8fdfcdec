use std::path::Path;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Epoch, Journal, JournalError, Opened, Receipt, keyed::Keyed};
use crate::{
    folder::{Folder, Sled},
    record::Record,
};

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

    /// The records of `run` as they stand now, without taking it over; none where there is no such run.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.0.records(run)
    }
}

#[async_trait]
impl Journal for SledJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.0.take_over(run)
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        self.0.append(run, epoch, record)
    }

    fn write(&self) -> Result<(), JournalError> {
        self.0.write()
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.0.sync(receipt).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.0.runs()
    }

    fn forget(&self, run: Uuid, epoch: Epoch) -> Result<(), JournalError> {
        self.0.forget(run, epoch)
    }
}
