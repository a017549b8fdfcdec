use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::disk::{Disk, DiskFile};

use super::{Chance, CrashPoint};

/// How much of a write a disk keeps or loses as a whole.
const SECTOR: usize = 512;

/// A disk in memory that knows what has been synced.
///
/// After a power loss, what was written since the last sync of its file is there or not, sector by sector and in any
/// order, and a sector may be torn in two. After a kill all of it is there.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Content>>>,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    faults: Arc<Mutex<Vec<(DiskFault, u64)>>>,
    point: CrashPoint,
}

/// What a disk may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// A write fails, and nothing of it is there.
    Write,
    /// A sync fails: what it should have kept is lost with the power, and later syncs succeed all the same.
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
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same disk for a process that crashes at `point`.
    #[must_use]
    pub fn for_process(&self, point: &CrashPoint) -> Self {
        Self { files: self.files.clone(), locks: Arc::default(), faults: self.faults.clone(), point: point.clone() }
    }

    /// What is left when the process was killed: all that it wrote.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self { files: Arc::new(Mutex::new(self.files().clone())), ..Self::default() }
    }

    /// What is left when the power was lost: what was synced, and of the rest what chance leaves, which `seed` decides.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut files = self.files().clone();
        for content in files.values_mut() {
            content.lose(&mut chance);
        }
        Self { files: Arc::new(Mutex::new(files)), ..Self::default() }
    }

    /// The `number`th operation of this kind from now on fails, counted from 0.
    pub fn fail(&self, fault: DiskFault, number: u64) {
        lock(&self.faults).push((fault, number));
    }

    /// How often a file was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.files().values().map(|content| content.syncs).sum()
    }

    /// The files and their bytes, to damage them.
    pub fn damage(&self, change: impl FnOnce(&mut BTreeMap<PathBuf, Vec<u8>>)) {
        let mut files = self.files();
        let mut contents = files.iter().map(|(path, content)| (path.clone(), content.current.clone())).collect();
        change(&mut contents);
        *files = contents
            .into_iter()
            .map(|(path, bytes)| (path, Content { synced: bytes.clone(), current: bytes, ..Content::default() }))
            .collect();
    }

    /// Whether the disk refuses this operation.
    fn refuses(&self, fault: DiskFault) -> bool {
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
    fn lose(&mut self, chance: &mut Chance) {
        let mut writes: Vec<_> = std::mem::take(&mut self.unsynced);
        // In any order.
        for last in (1..writes.len()).rev() {
            writes.swap(last, chance.below(last as u64 + 1) as usize);
        }
        let mut bytes = self.synced.clone();
        for (offset, written) in writes {
            let mut at = 0;
            while at < written.len() {
                let part = (SECTOR - (offset + at) % SECTOR).min(written.len() - at);
                let kept = match chance.below(4) {
                    0 => 0,
                    1 => chance.below(part as u64 + 1) as usize,
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

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.files().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let is_free = lock(&self.locks).insert(path.to_owned());
        Ok(is_free.then(|| Box::new(Held { locks: self.locks.clone(), path: path.to_owned() }) as Box<dyn Send + Sync>))
    }
}

struct Held {
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.locks).remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        self.disk.files().get_mut(&self.path).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.pass()?;
        if self.disk.refuses(DiskFault::Write) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|content| {
            if content.current.len() < offset + bytes.len() {
                content.current.resize(offset + bytes.len(), 0);
            }
            content.current[offset..offset + bytes.len()].copy_from_slice(bytes);
            content.unsynced.push((offset, bytes.to_vec()));
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.pass()?;
        if self.disk.refuses(DiskFault::Sync) {
            self.with(|content| content.unsynced.clear())?;
            return Err(io::Error::other("the device does not answer"));
        }
        self.with(|content| {
            content.synced.clone_from(&content.current);
            content.unsynced.clear();
            content.syncs += 1;
        })
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.with(|content| content.current.get(offset..offset + length).map(<[u8]>::to_vec))?;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|content| content.current.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_of_the_rest_what_chance_leaves() {
        let disk = SimDisk::new();
        let path = Path::new("/log/one");
        let file = disk.create(path, 2_048).expect("there is none yet");
        file.write_at(0, &[1; 700]).expect("it is there");
        file.sync().expect("it is there");
        file.write_at(700, &[2; 1_000]).expect("it is there");
        let mut differ = BTreeSet::new();
        for seed in 0..20 {
            let left =
                disk.after_power_loss(seed).open(path).and_then(|file| file.read_at(0, 2_048)).expect("it is there");
            assert_eq!(left[..700], [1; 700]);
            differ.insert(left);
        }
        assert!(differ.len() > 10, "only {} ways to lose it", differ.len());
        let left = disk.after_kill().open(path).and_then(|file| file.read_at(700, 1_000)).expect("it is there");
        assert_eq!(left, [2; 1_000]);
    }
}
