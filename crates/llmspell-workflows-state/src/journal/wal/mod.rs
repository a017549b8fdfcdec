//! The default journal, on a write-ahead log.

mod arrive;
mod index;
mod one_run;
mod read;
mod reader;
mod runs;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{sync::lock, targets};
use uuid::Uuid;

use super::{Arrival, Epoch, Journal, JournalError, Opened, OpenedLines, Receipt};
use crate::{
    disk::{Disk, SystemDisk, blocking},
    log::{FrameLocation, Log, LogDamage, LogError, LogOptions, Position, frame::Frame, segment},
    record::{EncodedRecord, Record, RecordLines},
};
use reader::{LogReader, ReadLog, needed_body};
use runs::{Runs, kind, opened_body};

/// The file that a process keeps locked while the journal is open.
const LOCK: &str = "lock";

/// The default journal: a write-ahead log of live runs in its own folder, which only one process
/// can open at a time.
///
/// One sync covers all runs. The journal keeps only the locations of a run's records in memory, and reads the records
/// back only when the run is taken over. A segment is removed once no run needs it.
pub struct WalJournal {
    dir: PathBuf,
    open: Arc<OpenLog>,
    damage: Vec<LogDamage>,
}

/// The log and its runs, shared with threads that may block.
struct OpenLog {
    log: Log,
    runs: Arc<Mutex<Runs>>,
}

impl WalJournal {
    /// Opens the journal in the local folder `dir`.
    ///
    /// # Errors
    /// Returns an error if another process has the journal open or the log cannot be read.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_on(Arc::new(SystemDisk), dir, LogOptions::default())
    }

    /// Opens the journal in the folder `dir` on `disk`.
    ///
    /// # Errors
    /// Returns an error if another process has the journal open or the log cannot be read.
    pub fn open_on(disk: Arc<dyn Disk>, dir: impl AsRef<Path>, options: LogOptions) -> Result<Self, JournalError> {
        let dir = dir.as_ref().to_owned();
        let io_error = |error: std::io::Error| LogError::io(&dir.join(LOCK), &error);
        disk.create_dir(&dir).map_err(io_error)?;
        let Some(lock) = disk.lock(&dir.join(LOCK)).map_err(io_error)? else {
            let path = dir.display().to_string();
            return Err(JournalError::Held { path, holder: "which is still alive".to_owned() });
        };
        let _entered = tracing::info_span!(target: targets::JOURNAL, "takeover", path = %dir.display()).entered();
        remove_orphaned_indexes(&*disk, &dir).map_err(io_error)?;
        let (log, mut recovery) = Log::open(disk, &dir, lock.into(), options, needed_body)?;
        let ReadLog { runs, damage } = LogReader::read(&mut recovery, &dir, |_| ());
        if !runs.by_id.is_empty() {
            tracing::info!(
                target: targets::JOURNAL,
                runs = runs.by_id.len(),
                "took over the log of a process that ended"
            );
        }
        for damage in &damage {
            tracing::warn!(target: targets::JOURNAL, %damage, "the log is damaged");
        }
        let open = Arc::new(OpenLog { log, runs: Arc::new(Mutex::new(runs)) });
        open.abandon_incoming()?;
        let sound = recovery.ends.into_keys().filter(|segment| !recovery.damaged.contains(segment));
        open.remove_unneeded(sound.chain(recovery.freed))?;
        Ok(Self { dir, open, damage })
    }

    /// Closes the journal and removes its local folder with everything in it.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be removed.
    pub fn remove(self) -> Result<(), JournalError> {
        let Self { dir, open, .. } = self;
        // The lock is kept until the folder is removed so that no other process starts using the
        // folder.
        let lock = open.log.lock();
        // After this, nothing in this process uses the folder.
        drop(open);
        let removed = remove_folder(&dir).map_err(|error| JournalError::Log(LogError::io(&dir, &error)));
        drop(lock);
        removed
    }
}

/// Renames a folder before removing it, since other processes may create files, such as its
/// lock, under the old name.
fn remove_folder(dir: &Path) -> io::Result<()> {
    const REMOVED: &str = ".removed-";
    let parent = dir.parent().unwrap_or(Path::new("."));
    // A process may have died before removing such a renamed folder.
    for entry in std::fs::read_dir(parent)?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(REMOVED) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let removed = parent.join(format!("{REMOVED}{}", Uuid::now_v7()));
    std::fs::rename(dir, &removed)?;
    match std::fs::remove_dir_all(&removed) {
        // Another process has removed the folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl OpenLog {
    /// Begins a new epoch of `run`; returns the epoch and the locations of the run's records.
    fn take_over(&self, run: Uuid) -> Result<(Epoch, Vec<FrameLocation>), JournalError> {
        let mut runs = self.runs();
        runs.check_open(run)?;
        let (number, epoch) = match runs.by_id.get(&run) {
            Some(live) => (live.number, Epoch(live.epoch.0 + 1)),
            None => (runs.last_number + 1, Epoch(1)),
        };
        let body = opened_body(run, epoch);
        let (_, location) =
            self.log.append(Frame { kind: kind::OPENED, run: number, body: &body, ..Frame::default() })?;
        runs.open(run, number, epoch, location);
        self.index(&mut runs, location, number, kind::OPENED, &[]);
        Ok((epoch, runs.records(run)))
    }

    /// Reads frames of runs; `add` adds a frame's body to the result for its run.
    fn read<R: Default>(
        &self,
        frames: &[(Uuid, Vec<FrameLocation>)],
        add: impl Fn(&mut R, Uuid, &[u8]) -> Result<(), JournalError>,
    ) -> Result<Vec<R>, JournalError> {
        // The latest records may still be only in memory.
        self.log.write_all()?;
        // Frames of different runs are often adjacent, so they are read in log order.
        let owned = |(at, (_, locations)): (usize, &(Uuid, Vec<FrameLocation>))| {
            locations.iter().map(|location| (*location, at)).collect::<Vec<_>>()
        };
        let mut in_order: Vec<(FrameLocation, usize)> = frames.iter().enumerate().flat_map(owned).collect();
        in_order.sort_unstable();
        let (locations, mut owners): (Vec<_>, Vec<_>) = in_order.into_iter().unzip();
        owners.reverse();
        let mut read: Vec<R> = frames.iter().map(|_| R::default()).collect();
        self.log.read(&locations, |body| {
            let at = owners.pop().expect("each location has an owner");
            add(&mut read[at], frames[at].0, body)
        })?;
        Ok(read)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        lock(&self.runs)
    }

    /// Adds a frame to its segment's index. If it is the first frame of a segment, the previous
    /// segment's index is written after the next sync. No index is written for a segment listed
    /// in the heads file, since that file serves as its index.
    ///
    /// `about` names the frame's runs if they are not found by run number.
    fn index(&self, runs: &mut Runs, location: FrameLocation, number: u32, kind: u8, about: &[Uuid]) {
        let full = runs.current.add(location, number, kind, about);
        let Some(full) = full.filter(|full| !self.log.lists(full.segment)) else { return };
        let path = index::path(self.log.dir(), full.segment);
        let runs = self.runs.clone();
        self.log.write_later(path, move || full.into_index(&runs));
    }

    /// Removes the `segments` that are no longer needed. Also removes unneeded segments that were still in use at the
    /// last call.
    fn remove_unneeded(&self, segments: impl IntoIterator<Item = u64>) -> Result<(), JournalError> {
        let unneeded: Vec<u64> = {
            let mut runs = self.runs();
            let mut unneeded = std::mem::take(&mut runs.unneeded);
            unneeded.extend(segments);
            unneeded.into_iter().filter(|segment| !runs.needed.contains_key(segment)).collect()
        };
        let kept = self.log.remove(unneeded, |segment| index::path(self.log.dir(), segment))?;
        self.runs().unneeded.extend(kept);
        Ok(())
    }
}

/// Removes indexes whose segments no longer exist, since a new segment may get the same number.
fn remove_orphaned_indexes(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    let names = disk.list(dir)?;
    let numbers = names.iter().filter_map(|name| index::number(name));
    let orphaned = numbers.filter(|number| !names.iter().any(|name| segment::number(name) == Some(*number)));
    orphaned.into_iter().try_for_each(|number| disk.remove(&index::path(dir, number)))
}

#[async_trait]
impl Journal for WalJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        let (epoch, locations) = self.open.take_over(run)?;
        Ok(Opened { epoch, records: self.read_records(run, locations).await? })
    }

    async fn open_lines(&self, runs: &[Uuid]) -> Result<Vec<OpenedLines>, JournalError> {
        let (mut epochs, mut frames) = (Vec::with_capacity(runs.len()), Vec::with_capacity(runs.len()));
        for run in runs {
            let (epoch, locations) = self.open.take_over(*run)?;
            epochs.push(epoch);
            frames.push((*run, locations));
        }
        let add = |lines: &mut RecordLines, _, body: &[u8]| {
            lines.push(body);
            Ok(())
        };
        let all = self.read(frames, add).await?;
        Ok(epochs.into_iter().zip(all).map(|(epoch, records)| OpenedLines { epoch, records }).collect())
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        let EncodedRecord { body, bulk } =
            record.encode_with_outline().map_err(|error| JournalError::unreadable(run, error))?;
        let mut runs = self.open.runs();
        let (live, needed) = runs.in_epoch(run, epoch)?;
        let (number, record) = (live.number, live.count);
        let frame = Frame { kind: kind::RECORD, run: number, record, body: &body, bulk: &bulk };
        let (position, location) = self.open.log.append(frame)?;
        live.push_record(reader::is_closing(&body), location, needed);
        self.open.index(&mut runs, location, number, kind::RECORD, &[]);
        Ok(Receipt(position.number()))
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        Ok(self.open.log.write(Position::from(receipt.0)).await?)
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        Ok(self.open.log.sync(Position::from(receipt.0)).await?)
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        let locations = {
            let runs = self.open.runs();
            runs.check(run)?;
            runs.records(run)
        };
        self.read_records(run, locations).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.open.runs().by_id.keys().copied().collect()
    }

    fn damage(&self) -> Vec<JournalError> {
        self.damage.iter().map(|damage| JournalError::Log(damage.into())).collect()
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        let runs = self.open.runs();
        let ended = runs.by_id.iter().filter(|(run, live)| live.is_closed && !runs.damaged.contains_key(run));
        Ok(ended.map(|(run, _)| *run).collect())
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        let open = self.open.clone();
        let (epochs, freed, position) = blocking(move || open.arrive(&arrivals)).await?;
        self.open.log.sync(position).await?;
        self.remove_unneeded(freed).await?;
        Ok(epochs)
    }

    async fn compact(&self, is_thorough: bool) -> Result<(), JournalError> {
        self.rewrite(is_thorough).await
    }

    async fn forget(&self, forgotten: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        let (mut freed, mut last) = (Vec::new(), None);
        {
            let mut runs = self.open.runs();
            let known: Vec<_> = forgotten.iter().filter(|(run, _)| runs.by_id.contains_key(run)).collect();
            for (run, epoch) in &known {
                runs.in_epoch(*run, *epoch)?;
            }
            for (run, epoch) in known {
                let number = runs.in_epoch(*run, *epoch)?.0.number;
                let frame = Frame { kind: kind::FORGOTTEN, run: number, body: run.as_bytes(), ..Frame::default() };
                let (position, location) = self.open.log.append(frame)?;
                freed.extend(runs.forget(*run, location.segment));
                self.open.index(&mut runs, location, number, kind::FORGOTTEN, &[*run]);
                last = Some(position);
            }
        }
        let Some(last) = last else { return Ok(()) };
        self.open.log.write(last).await?;
        self.remove_unneeded(freed).await
    }
}

impl WalJournal {
    /// Removes segments that are no longer needed.
    async fn remove_unneeded(&self, freed: Vec<u64>) -> Result<(), JournalError> {
        if freed.is_empty() && self.open.runs().unneeded.is_empty() {
            return Ok(());
        }
        let open = self.open.clone();
        blocking(move || open.remove_unneeded(freed)).await
    }

    /// Reads the records of `run` at `locations`.
    async fn read_records(&self, run: Uuid, locations: Vec<FrameLocation>) -> Result<Vec<Record>, JournalError> {
        let add = |records: &mut Vec<Record>, run, body: &[u8]| {
            records.push(record(run, body)?);
            Ok(())
        };
        Ok(self.read(vec![(run, locations)], add).await?.into_iter().flatten().collect())
    }

    async fn read<R: Default + Send + 'static>(
        &self,
        frames: Vec<(Uuid, Vec<FrameLocation>)>,
        add: impl Fn(&mut R, Uuid, &[u8]) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<Vec<R>, JournalError> {
        if frames.iter().all(|(_, locations)| locations.is_empty()) {
            return Ok(frames.iter().map(|_| R::default()).collect());
        }
        let open = self.open.clone();
        blocking(move || open.read(&frames, add)).await
    }
}

fn outline(run: Uuid, body: &[u8]) -> Result<Record, JournalError> {
    Record::decode_outline(body).map_err(|error| JournalError::unreadable(run, error))
}

fn record(run: Uuid, body: &[u8]) -> Result<Record, JournalError> {
    Record::decode(body).map_err(|error| JournalError::unreadable(run, error))
}

impl fmt::Debug for WalJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal in {}", self.dir.display())
    }
}
