//! Maintenance of a folder home.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use llmspell_workflows_state::{
    Arrival, Epoch, Journal, JournaledRun, Record, disk::create_private_folders, store::RunSummary,
};
use uuid::Uuid;

use super::{
    super::{BackupReport, Contact, Home, HomeUsage, JournalId, JournalUsage, Lease, Upkeep, archive},
    Folder, FolderHome,
    lease::open_log,
};
use crate::ExecutorError;

impl Folder {
    /// Removes the journal of `lease` if it is empty; a fjall or sled journal is never removed.
    pub(super) fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError> {
        let Lease { id, journal, .. } = lease;
        if self.single.is_some() || !journal.runs().is_empty() {
            return Ok(false);
        }
        let dir = self.dir(&id);
        // Release the lease. If another process takes the journal before this process reopens it,
        // the journal is kept.
        drop(journal);
        match open_log(&dir) {
            Ok(log) if Journal::runs(&log).is_empty() => {
                log.remove()?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Moves the journal of `lease` to the folder of damaged journals.
    pub(super) fn set_aside(&self, lease: Lease) -> Result<PathBuf, ExecutorError> {
        let (from, folder) = (self.dir(&lease.id), self.path.join("damaged"));
        create_private_folders(&folder).map_err(|error| ExecutorError::file(&folder, &error))?;
        let to = folder.join(format!("{}-{}", lease.id, Uuid::now_v7()));
        // The journal stays locked until it has been moved.
        fs::rename(&from, &to).map_err(|error| ExecutorError::file(&from, &error))?;
        drop(lease);
        Ok(to)
    }

    pub(super) fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        let size = |path: &Path| bytes_in(path).map_err(|error| ExecutorError::file(path, &error));
        let journals = self.journals()?.into_iter();
        let journals = journals.map(|id| Ok(JournalUsage { bytes: size(&self.dir(&id))?, id }));
        Ok(HomeUsage {
            bytes: size(&self.path)?,
            definition_bytes: size(self.definitions.folder())?,
            journals: journals.collect::<Result<_, ExecutorError>>()?,
        })
    }
}

pub(super) async fn back_up(home: &FolderHome, to: &Path) -> Result<BackupReport, ExecutorError> {
    let file_error = |error: io::Error| ExecutorError::file(to, &error);
    if to.exists() {
        return Err(file_error(io::ErrorKind::AlreadyExists.into()));
    }
    // Copy to a temporary name first so that a partial copy is never mistaken for a backup.
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let draft = to.with_file_name(format!(".{name}.{}", Uuid::now_v7()));
    let copied = copy_to(home, &draft).await;
    let (from, target) = (draft.clone(), to.to_owned());
    home.run_blocking(move |_| {
        let placed = copied.and_then(|copied| {
            let file_error = |error: io::Error| ExecutorError::file(&target, &error);
            fs::rename(&from, &target).map_err(file_error)?;
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(file_error)?;
            Ok(copied)
        });
        if placed.is_err() {
            // Ignore errors here: the first error is reported.
            let _ = fs::remove_dir_all(&from);
        }
        placed
    })
    .await
}

/// Reads the runs in all journals, each with the records of its latest copy.
///
/// A run moved during the backup may leave a journal that has not been read yet and arrive in one
/// that has. The runs are therefore listed afterwards, and the journals of the missed runs are read
/// again.
async fn read_live(home: &FolderHome) -> Result<BTreeMap<Uuid, (Epoch, Vec<Record>)>, ExecutorError> {
    let (all, began): (Arc<dyn Home>, _) = (home.clone().into(), Timestamp::now());
    let mut live = BTreeMap::<Uuid, (Epoch, Vec<Record>)>::new();
    let mut journals: BTreeSet<JournalId> = home.journals().await?.into_iter().collect();
    while !journals.is_empty() {
        for journal in &journals {
            for JournaledRun { run, epoch, records } in home.check(journal).await?.runs {
                // A damaged run cannot be copied. It is better to report the damage now than when
                // the backup is needed.
                let records = records?;
                // A sub-workflow that was opened without recording its start may have started in
                // another journal.
                let is_later = live.get(&run).is_none_or(|(known, _)| *known < epoch);
                if is_later && !records.is_empty() {
                    live.insert(run, (epoch, records));
                }
            }
        }
        // Runs that started later need not be in the copy.
        let listed = all.live().await?.runs;
        let missed = listed.iter().filter(|run| run.summary.started_at < began && !live.contains_key(&run.id()));
        journals = missed.filter_map(|run| run.journal().cloned()).collect();
    }
    Ok(live)
}

/// Copies `home` to `to`.
///
/// Copies the journals first and the store next, so that a run that moves to the store during the
/// copy is not missed. Copies the definitions last, when the definitions of all copied runs have
/// been stored.
async fn copy_to(home: &FolderHome, to: &Path) -> Result<BackupReport, ExecutorError> {
    let mut live = read_live(home).await?;
    let copy = home.elsewhere(to);
    if let Some(stores) = home.existing_stores().await? {
        let store_path = copy.0.store_path();
        let folder = to.to_owned();
        home.run_blocking(move |_| {
            create_private_folders(&folder).map_err(|error| ExecutorError::file(&folder, &error))
        })
        .await?;
        stores.adapter.back_up(&store_path).await?;
        let kept = copy.stores().await?;
        let mut left = Vec::new();
        for (run, (_, records)) in &live {
            // The run may have been archived, or deleted from the archive, since the journal was read.
            let archived = archive::get(kept, *run).await?;
            left.extend(archived.filter(|all| all.len() > records.len() && all.starts_with(records)).map(|_| *run));
        }
        left.iter().for_each(|run| drop(live.remove(run)));
    }
    live.retain(|run, (_, records)| RunSummary::of(*run, records, None).is_some());
    let count = live.len();
    if count > 0 {
        let lease = copy.lease_for_new_runs(Contact::None).await?;
        for (run, (after, records)) in live {
            lease.journal.arrive(vec![Arrival { run, after, records }]).await?;
        }
    }
    let hashes = home.definitions().hashes().await?;
    let all: Arc<dyn Home> = copy.clone().into();
    let own: Arc<dyn Home> = home.clone().into();
    for hash in &hashes {
        let definition = own.definition(hash).await?;
        all.keep(&definition).await?;
    }
    let (from, target) = (home.0.outputs().folder(), copy.0.outputs().folder());
    home.run_blocking(move |_| copy_files(&from, &target).map_err(|error| ExecutorError::file(&from, &error))).await?;
    Ok(BackupReport { live: count, definitions: hashes.len() })
}

impl FolderHome {
    /// Returns a home of the same kind in another folder.
    fn elsewhere(&self, path: &Path) -> Self {
        let kind = self.journal();
        Self::with(path.to_owned(), self.0.store, self.0.open).with_journal(kind)
    }
}

/// Copies the files under the folder `from`, if it exists. Files removed in the meantime are
/// omitted.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(from) {
        Err(error) if gone(&error) => return Ok(()),
        entries => entries?,
    };
    create_private_folders(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_files(&entry.path(), &target)?,
            false => match fs::copy(entry.path(), &target) {
                Err(error) if gone(&error) => {}
                copied => drop(copied?),
            },
        }
    }
    Ok(())
}

/// Returns the total size in bytes of the files under `path`; files removed in the meantime do not
/// count.
fn bytes_in(path: &Path) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if gone(&error) => return Ok(0),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let entries = match fs::read_dir(path) {
        Err(error) if gone(&error) => return Ok(0),
        entries => entries?,
    };
    entries.map(|entry| bytes_in(&entry?.path())).sum()
}
