//! Reads back what a log holds, and tells what was torn from what was damaged.
//!
//! A crash leaves frames half written, or later ones without earlier ones: all after the first that is not whole was
//! never acknowledged, and is left. A mark says up to where a segment has been synced; where something before that is
//! not whole, the disk has lost what it had promised to keep, and nothing is read past it.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    LogError, MARK, Place,
    frame::{self, Found},
    segment,
};
use crate::disk::Disk;

/// A frame that was found.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    pub(crate) place: Place,
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) body: Vec<u8>,
}

/// All that a log holds.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) frames: Vec<Recovered>,
    /// How far each segment is whole.
    pub(crate) ends: BTreeMap<u64, u64>,
}

/// Reads all segments in `dir`.
pub(super) fn recover(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    let recovery = check(disk, dir)?;
    sync(disk, dir, &recovery)?;
    Ok(recovery)
}

/// Reads what is there, and finds what was synced and is not whole any more.
pub(crate) fn check(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    let (recovery, marks) = read_all(disk, dir)?;
    for (number, synced) in marks {
        if let Some(end) = recovery.ends.get(&number).filter(|end| **end < synced) {
            let message = format!("the {} bytes from {end} on were synced, and are not whole any more", synced - end);
            return Err(LogError::damaged(&segment::path(dir, number), message));
        }
    }
    Ok(recovery)
}

/// Reads what is there, while someone else may be writing: all that was appended up to some moment.
pub(crate) fn peek(disk: &dyn Disk, dir: &Path) -> Result<Recovery, LogError> {
    read_all(disk, dir).map(|(recovery, _)| recovery)
}

/// What the segments hold, and up to where marks say that they were synced.
fn read_all(disk: &dyn Disk, dir: &Path) -> Result<(Recovery, BTreeMap<u64, u64>), LogError> {
    let mut recovery = Recovery::default();
    let mut marks = BTreeMap::new();
    for (number, bytes) in segments(disk, dir)? {
        let path = segment::path(dir, number);
        if let Some(length) = segment::length(number, &bytes)
            && length > bytes.len() as u64
        {
            let message = format!("it has {} of its {length} bytes: the file was cut", bytes.len());
            return Err(LogError::damaged(&path, message));
        }
        let end = frames(&path, number, &bytes, &mut recovery.frames, &mut marks)?;
        recovery.ends.insert(number, end);
    }
    Ok((recovery, marks))
}

/// The bytes of all segments, the first one first.
///
/// They are read from the last one on: whoever writes has filled a segment before the next one gets its first frame, so
/// nothing is there without what came before it. One that goes meanwhile is needed by no run any more.
fn segments(disk: &dyn Disk, dir: &Path) -> Result<BTreeMap<u64, Vec<u8>>, LogError> {
    let mut names = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
    'again: loop {
        let mut all = BTreeMap::new();
        for number in names.iter().rev().filter_map(|name| segment::number(name)) {
            let path = segment::path(dir, number);
            match read(disk, &path) {
                Ok(bytes) => drop(all.insert(number, bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let now = disk.list(dir).map_err(|error| LogError::io(dir, &error))?;
                    if now == names {
                        return Err(LogError::io(&path, &error));
                    }
                    names = now;
                    continue 'again;
                }
                Err(error) => return Err(LogError::io(&path, &error)),
            }
        }
        return Ok(all);
    }
}

/// What a killed process wrote may still be in memory alone, and what follows will build on it.
fn sync(disk: &dyn Disk, dir: &Path, recovery: &Recovery) -> Result<(), LogError> {
    for number in recovery.ends.iter().filter(|(_, end)| **end > 0).map(|(number, _)| *number) {
        let path = segment::path(dir, number);
        disk.open(&path).and_then(|file| file.sync()).map_err(|error| LogError::io(&path, &error))?;
    }
    Ok(())
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    file.read_at(0, length)
}

/// Takes in the frames of one segment; returns where they end.
fn frames(
    path: &Path,
    number: u64,
    bytes: &[u8],
    all: &mut Vec<Recovered>,
    marks: &mut BTreeMap<u64, u64>,
) -> Result<u64, LogError> {
    let has_header = segment::length(number, bytes).is_some();
    // Without its header nothing of it was ever synced.
    let mut at = if has_header { segment::HEADER as usize } else { bytes.len() };
    loop {
        match frame::read(bytes.get(at..).unwrap_or_default()) {
            Found::Frame(frame, length) if frame.kind == MARK => {
                note(marks, frame.body);
                at += length;
            }
            Found::Frame(frame, length) => {
                let place = Place { segment: number, offset: at as u64, length: length as u32 };
                all.push(Recovered { place, kind: frame.kind, run: frame.run, body: frame.body.to_vec() });
                at += length;
            }
            Found::Other(version) if version < frame::VERSION => {
                return Err(LogError::Older { path: path.to_owned(), found: version });
            }
            Found::Other(version) => {
                let message = format!("it is of version {version}, and this program reads version {}", frame::VERSION);
                return Err(LogError::Newer { path: path.to_owned(), message });
            }
            Found::End | Found::Broken => break,
        }
    }
    let end = if has_header { at } else { 0 };
    later_marks(&bytes[end.min(bytes.len())..], marks);
    Ok(end as u64)
}

/// Marks behind the first place that is not whole say whether it once was.
fn later_marks(bytes: &[u8], marks: &mut BTreeMap<u64, u64>) {
    let mut at = 0;
    // Frames begin at any byte; a zero cannot begin one whose length is below 256 and is not zero.
    while at + frame::HEAD <= bytes.len() {
        match frame::read(&bytes[at..]) {
            Found::Frame(frame, length) => {
                if frame.kind == MARK {
                    note(marks, frame.body);
                }
                at += length;
            }
            Found::End => {
                let zeros = bytes[at..].iter().take_while(|byte| **byte == 0).count();
                // A length begins with a byte that is not zero, unless it is a multiple of 256.
                at += zeros.saturating_sub(3).max(1);
            }
            Found::Broken | Found::Other(_) => at += 1,
        }
    }
}

fn note(marks: &mut BTreeMap<u64, u64>, body: &[u8]) {
    let Some((segment, synced)) = super::mark_of(body) else { return };
    let known = marks.entry(segment).or_insert(0);
    *known = synced.max(*known);
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{
        disk::{DiskFile, SystemDisk},
        log::{Log, LogOptions},
    };

    /// A disk on which something happens before the second file is opened.
    struct Between<F>(AtomicUsize, F);

    impl<F> std::fmt::Debug for Between<F> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("between")
        }
    }

    impl<F: Fn() + Send + Sync + 'static> Disk for Between<F> {
        fn create_dir(&self, path: &Path) -> io::Result<()> {
            SystemDisk.create_dir(path)
        }

        fn list(&self, path: &Path) -> io::Result<Vec<String>> {
            SystemDisk.list(path)
        }

        fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
            SystemDisk.create(path, length)
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 1 {
                (self.1)();
            }
            SystemDisk.open(path)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            SystemDisk.remove(path)
        }

        fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
            SystemDisk.lock(path)
        }
    }

    #[test]
    fn a_look_while_a_segment_fills_up_sees_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_min: 1_024, segment_max: 1_024, prepare_ahead: true };
        let (log, _) = Log::open(Arc::new(SystemDisk), folder.path(), options).unwrap();
        let mut last = None;
        for number in 1..=5 {
            last = Some(log.append(1, number, &[7; 100]).unwrap().0);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(log.sync(last.unwrap())).unwrap();
        // The next segment is made ahead: it is there before anything is in it.
        let late = Instant::now() + Duration::from_secs(30);
        while segment::path(folder.path(), 2).metadata().map_or(0, |file| file.len()) < 1_024 {
            assert!(Instant::now() < late, "the next segment is made where this one is half full");
            std::thread::yield_now();
        }
        let disk = Between(AtomicUsize::new(0), move || {
            for number in 6..15 {
                log.append(1, number, &[7; 100]).unwrap();
            }
            log.write_all().unwrap();
        });
        let numbers: Vec<u32> = peek(&disk, folder.path()).unwrap().frames.iter().map(|frame| frame.run).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u32) && numbers.len() > 1, "{numbers:?}");
    }
}
