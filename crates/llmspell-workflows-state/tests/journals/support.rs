use std::{path::Path, sync::Arc};

use llmspell_workflows_state::{FjallJournal, Journal, JournalError, Record, SledJournal, WalJournal};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// A journal that stores its data on the disk.
#[derive(Clone, Copy)]
pub(crate) struct OnDisk {
    pub(crate) name: &'static str,
    open: fn(&Path) -> Result<Arc<dyn Journal>, JournalError>,
}

pub(crate) const WAL: OnDisk = OnDisk { name: "wal", open: |path| Ok(Arc::new(WalJournal::open_dir(path)?)) };

pub(crate) const FJALL: OnDisk = OnDisk { name: "fjall", open: |path| Ok(Arc::new(FjallJournal::open_dir(path)?)) };

pub(crate) const SLED: OnDisk = OnDisk { name: "sled", open: |path| Ok(Arc::new(SledJournal::open_dir(path)?)) };

pub(crate) const ON_DISK: [OnDisk; 3] = [WAL, FJALL, SLED];

impl OnDisk {
    /// Opens or creates the journal in a folder.
    pub(crate) fn open_in(&self, folder: &Path) -> Result<Arc<dyn Journal>, JournalError> {
        (self.open)(&folder.join("journal"))
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn run(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn record(number: usize) -> Record {
    Record::Stopped { path: format!("/main/step{number}"), time_us: 0 }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
