use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::disk::{Disk, DiskFile, DiskLock};

use super::{CrashPoint, SeededRandom};

/// The size of a sector in bytes; a power loss normally keeps or loses a whole sector.
const SECTOR: usize = 512;

/// A simulated disk in memory that tracks which writes are synced.
///
/// After a power loss, each sector written since the last sync of its file is either kept or lost,
/// in any order, and a sector may be torn in two. After a kill, all writes are kept.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Content>>>,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    faults: Arc<Mutex<Vec<(DiskFault, u64)>>>,
    point: CrashPoint,
}

/// A disk operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// A write fails without writing anything.
    Write,
    /// A sync fails: a power loss then loses the writes before it, even if later syncs succeed.
    Sync,
}

#[derive(Debug, Clone, Default)]
struct Content {
    synced: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    syncs: u64,
}

impl SimDisk {
    /// Creates an empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns this disk as seen by a process that crashes at `point`.
    #[must_use]
    pub fn for_process(&self, point: &CrashPoint) -> Self {
        Self { files: self.files.clone(), locks: Arc::default(), faults: self.faults.clone(), point: point.clone() }
    }

    /// Returns the disk after the process was killed: all writes are kept.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self { files: Arc::new(Mutex::new(self.files().clone())), ..Self::default() }
    }

    /// Returns the disk after a power loss: synced writes are kept, and `seed` determines which other writes are kept.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let mut files = self.files().clone();
        for content in files.values_mut() {
            content.lose(&mut random);
        }
        Self { files: Arc::new(Mutex::new(files)), ..Self::default() }
    }

    /// Makes the `number`th operation of this kind after this call fail, counted from 0.
    pub fn fail(&self, fault: DiskFault, number: u64) {
        lock(&self.faults).push((fault, number));
    }

    /// Returns the total number of syncs of all files.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.files().values().map(|content| content.syncs).sum()
    }

    /// Damages the disk by calling `change` with the files and their bytes.
    pub fn damage(&self, change: impl FnOnce(&mut BTreeMap<PathBuf, Vec<u8>>)) {
        let mut files = self.files();
        let mut contents = files.iter().map(|(path, content)| (path.clone(), content.current.clone())).collect();
        change(&mut contents);
        *files = contents
            .into_iter()
            .map(|(path, bytes)| (path, Content { synced: bytes.clone(), current: bytes, ..Content::default() }))
            .collect();
    }

    /// Returns whether this operation must fail.
    fn is_failing(&self, fault: DiskFault) -> bool {
        let mut faults = lock(&self.faults);
        let Some(position) = faults.iter().position(|(kind, _)| *kind == fault) else { return false };
        if faults[position].1 == 0 {
            faults.remove(position);
            return true;
        }
        faults[position].1 -= 1;
        false
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Content>> {
        lock(&self.files)
    }

    fn pass(&self) -> io::Result<()> {
        self.point.pass().map_err(|_| io::Error::other("the process has crashed"))
    }
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if self.current.len() < offset + bytes.len() {
            self.current.resize(offset + bytes.len(), 0);
        }
        self.current[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    fn lose(&mut self, random: &mut SeededRandom) {
        let mut writes: Vec<_> = std::mem::take(&mut self.unsynced);
        // Shuffles the writes.
        for last in (1..writes.len()).rev() {
            writes.swap(last, random.below(last as u64 + 1) as usize);
        }
        let mut bytes = self.synced.clone();
        for (offset, written) in writes {
            let mut at = 0;
            while at < written.len() {
                let part = (SECTOR - (offset + at) % SECTOR).min(written.len() - at);
                let kept = match random.below(4) {
                    0 => 0,
                    1 => random.below(part as u64 + 1) as usize,
                    _ => part,
                };
                if bytes.len() < offset + at + kept {
                    bytes.resize(offset + at + kept, 0);
                }
                bytes[offset + at..offset + at + kept].copy_from_slice(&written[at..at + kept]);
                at += part;
            }
        }
        self.synced.clone_from(&bytes);
        self.current = bytes;
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        self.pass()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let files = self.files();
        let inside = files.keys().filter(|file| file.parent() == Some(path));
        Ok(inside.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
        self.pass()?;
        let zeros = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let content = Content { synced: zeros.clone(), current: zeros, ..Content::default() };
        match self.files().entry(path.to_owned()) {
            std::collections::btree_map::Entry::Occupied(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(content),
        };
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        match self.files().contains_key(path) {
            true => Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned() })),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.pass()?;
        self.files().entry(path.to_owned()).or_default().write(0, bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.files().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let is_free = lock(&self.locks).insert(path.to_owned());
        Ok(is_free.then(|| Box::new(SimLock { locks: self.locks.clone(), path: path.to_owned() }) as Box<dyn DiskLock>))
    }
}

struct SimLock {
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.locks).remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
}

impl SimFile {
    fn with_content<T>(&self, action: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        self.disk.files().get_mut(&self.path).map(action).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.pass()?;
        if self.disk.is_failing(DiskFault::Write) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with_content(|content| content.write(offset, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.pass()?;
        if self.disk.is_failing(DiskFault::Sync) {
            self.with_content(|content| content.unsynced.clear())?;
            return Err(io::Error::other("the device does not answer"));
        }
        self.with_content(|content| {
            content.synced.clone_from(&content.current);
            content.unsynced.clear();
            content.syncs += 1;
        })
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.with_content(|content| content.current.get(offset..offset + length).map(<[u8]>::to_vec))?;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn length(&self) -> io::Result<u64> {
        self.with_content(|content| content.current.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_loss_keeps_synced_writes_and_a_random_subset_of_unsynced_writes() {
        let disk = SimDisk::new();
        let path = Path::new("/log/one");
        let file = disk.create(path, 2_048).expect("the file does not exist yet");
        file.write_at(0, &[1; 700]).expect("the file exists");
        file.sync().expect("the file exists");
        file.write_at(700, &[2; 1_000]).expect("the file exists");
        let mut results = BTreeSet::new();
        for seed in 0..20 {
            let remaining = disk
                .after_power_loss(seed)
                .open(path)
                .and_then(|file| file.read_at(0, 2_048))
                .expect("the file exists");
            assert_eq!(remaining[..700], [1; 700]);
            results.insert(remaining);
        }
        assert!(results.len() > 10, "only {} different results", results.len());
        let remaining =
            disk.after_kill().open(path).and_then(|file| file.read_at(700, 1_000)).expect("the file exists");
        assert_eq!(remaining, [2; 1_000]);
    }
}
