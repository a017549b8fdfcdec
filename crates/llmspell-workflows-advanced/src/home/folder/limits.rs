//! Named limits that apply across all processes of a home.
//!
//! ```text
//! HOME/limits/HASH/turn        locked while a process counts the holders
//! HOME/limits/HASH/NUMBER      locked by a step that holds the limit
//! ```
//!
//! The operating system releases the locks of a dead process.

use std::{io, path::Path, time::Duration};

use llmspell_workflows_basic::engine::{LimitName, SharedPermit};
use llmspell_workflows_state::{
    disk::{Disk, DiskLock, SystemDisk},
    store::blob_hash,
};

use super::FolderHome;
use crate::ExecutorError;

/// The delay before the second attempt to take a permit. It doubles with each retry.
const STEP_MIN: Duration = Duration::from_millis(5);

/// The maximum delay between two retries.
const STEP_MAX: Duration = Duration::from_millis(100);

impl FolderHome {
    /// Waits for a permit of a named limit.
    pub(super) async fn wait_for_permit(
        &self,
        limit: LimitName<'_>,
        holders: u32,
    ) -> Result<SharedPermit, ExecutorError> {
        let folder = self.path().join("limits").join(folder_name(limit));
        let mut step = STEP_MIN;
        loop {
            let taken = self.run_blocking({
                let folder = folder.clone();
                move |_| take_permit(&folder, holders).map_err(|error| ExecutorError::file(&folder, &error))
            });
            if let Some(lock) = taken.await? {
                return Ok(Box::new(lock));
            }
            tokio::time::sleep(step).await;
            step = (step * 2).min(STEP_MAX);
        }
    }
}

/// Returns the name of a limit's folder. The names of limits and definitions may contain any
/// character.
fn folder_name(LimitName { definition, name }: LimitName<'_>) -> String {
    blob_hash(format!("{}\n{name}", definition.unwrap_or_default()).as_bytes())
}

/// A permit: a locked file.
struct HeldLimit {
    _lock: Box<dyn DiskLock>,
}

/// Takes a permit if fewer than `holders` are taken. Returns `None` otherwise, or while another
/// process is counting.
fn take_permit(folder: &Path, holders: u32) -> io::Result<Option<HeldLimit>> {
    SystemDisk.create_dir(folder)?;
    let Some(_turn) = SystemDisk.lock(&folder.join("turn"))? else { return Ok(None) };
    let (mut held, mut free) = (0, None);
    for number in 0.. {
        let path = folder.join(number.to_string());
        // Another version of the definition may allow more holders, whose files have higher numbers.
        if number >= holders && !path.exists() {
            break;
        }
        match lock_slot(&path, free.is_none())? {
            Slot::Held => held += 1,
            Slot::Free(lock) => free = free.or(lock),
        }
        if held >= holders {
            return Ok(None);
        }
    }
    Ok(free.map(|lock| HeldLimit { _lock: lock }))
}

/// The state of a holder's file.
enum Slot {
    Held,
    /// The file was not locked; contains the new lock if one was requested.
    Free(Option<Box<dyn DiskLock>>),
}

fn lock_slot(path: &Path, is_wanted: bool) -> io::Result<Slot> {
    if !is_wanted && !path.exists() {
        return Ok(Slot::Free(None));
    }
    Ok(match SystemDisk.lock(path)? {
        Some(lock) => Slot::Free(is_wanted.then_some(lock)),
        None => Slot::Held,
    })
}
