//! An index of a full segment: the frames of each run.
//!
//! To read one run of a large log, a process reads the indexes instead of the segments. The owner
//! of the log writes an index once its segment is full. Nothing depends on an index: if it is
//! missing or damaged, the segment is read as a whole. Each frame found through an index is
//! verified.
//!
//! All numbers are little-endian. The header is followed by the directory (sorted by run id), a
//! checksum, and the entries.
//!
//! | part | bytes | contents |
//! |---|---|---|
//! | header | 0–7 | `SPFIDX\0\x01` |
//! | | 8–15 | number of the segment |
//! | | 16–19 | number of runs in the directory |
//! | directory, per run | 0–15 | id of the run |
//! | | 16–19 | number of its first entry, from 0 |
//! | | 20–23 | number of its entries |
//! | | 24–27 | CRC-32C of its entries |
//! | checksum | 0–3 | CRC-32C of the header and the directory |
//! | entry | 0–3 | offset of the frame in the segment |
//! | | 4–7 | its length |
//! | | 8–11 | number of the run in the log |
//! | | 12 | kind of the frame; 13–15 are zero |

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Mutex,
};

use llmspell_workflows_basic::sync::lock;
use uuid::Uuid;

use super::runs::{Runs, kind};
use crate::{
    disk::{Disk, DiskFile},
    log::FrameLocation,
};

const MAGIC: &[u8; 8] = b"SPFIDX\0\x01";
const HEADER: usize = 20;
const LISTED: usize = 28;
const ENTRY: usize = 16;

/// A frame of a run in an indexed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) number: u32,
    pub(super) kind: u8,
}

/// The frames of the segment being filled.
#[derive(Debug, Default)]
pub(super) struct SegmentFrames {
    pub(super) segment: u64,
    entries: Vec<IndexEntry>,
    /// The runs named in frames that do not use run numbers (forgotten, arrived, abandoned), each
    /// with the index of the frame in `entries`.
    about: Vec<(Uuid, usize)>,
}

impl SegmentFrames {
    /// Adds a frame. If the frame begins a new segment, returns the frames of the previous, full
    /// segment.
    pub(super) fn add(&mut self, location: FrameLocation, number: u32, kind: u8, about: &[Uuid]) -> Option<Self> {
        let next = Self { segment: location.segment, ..Self::default() };
        let full = (location.segment != self.segment).then(|| std::mem::replace(self, next));
        // Segments are shorter than 4 GiB.
        let offset = u32::try_from(location.offset).unwrap_or(u32::MAX);
        self.about.extend(about.iter().map(|run| (*run, self.entries.len())));
        self.entries.push(IndexEntry { offset, length: location.length, number, kind });
        full.filter(|full| !full.entries.is_empty())
    }

    /// Returns the index as bytes, without the frames of runs no longer in `runs`.
    pub(super) fn into_index(self, runs: &Mutex<Runs>) -> Vec<u8> {
        let Self { segment, entries, about } = self;
        let numbers: HashSet<u32> = entries.iter().map(|entry| entry.number).collect();
        // The lock is released before the index is built so that appends do not wait.
        let by_number: HashMap<u32, Uuid> = {
            let runs = lock(runs);
            let live = runs.by_id.iter().map(|(run, live)| (live.number, *run));
            let incoming = runs.incoming.iter().map(|(number, incoming)| (*number, incoming.run));
            live.chain(incoming).filter(|(number, _)| numbers.contains(number)).collect()
        };
        let named = about.iter().map(|(run, at)| (*run, entries[*at]));
        let is_named = |entry: &&IndexEntry| matches!(entry.kind, kind::FORGOTTEN | kind::ARRIVED | kind::ABANDONED);
        let frames = entries.iter().filter(|entry| !is_named(entry));
        let frames = frames.filter_map(|entry| Some((*by_number.get(&entry.number)?, *entry)));
        let mut listed: Vec<(Uuid, IndexEntry)> = frames.chain(named).collect();
        listed.sort_unstable_by_key(|(run, entry)| (*run, entry.offset));
        let by_run = || listed.chunk_by(|(one, _), (other, _)| one == other);
        let mut bytes = [MAGIC.as_slice(), &segment.to_le_bytes()].concat();
        bytes.extend_from_slice(&small(by_run().count()).to_le_bytes());
        let mut first = 0;
        for own in by_run() {
            let checksum = own.iter().fold(0, |sum, (_, entry)| crc32c::crc32c_append(sum, &entry.encode()));
            bytes.extend_from_slice(own[0].0.as_bytes());
            for number in [first, small(own.len()), checksum] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            first += small(own.len());
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        listed.iter().for_each(|(_, entry)| bytes.extend_from_slice(&entry.encode()));
        bytes
    }
}

impl IndexEntry {
    fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12] = self.kind;
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: number_at(bytes, 0)?,
            length: number_at(bytes, 4)?,
            number: number_at(bytes, 8)?,
            kind: *bytes.get(12)?,
        })
    }
}

/// Returns the path of the index of segment `number`.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.index"))
}

/// Returns the number of the segment whose index has this file name.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".index")?.parse().ok()
}

/// Returns the frames of `run` in segment `number` according to its index, in order; `None` if the
/// index is missing or damaged.
pub(super) fn read(disk: &dyn Disk, dir: &Path, number: u64, run: Uuid) -> Option<Vec<IndexEntry>> {
    let file = disk.open_to_read(&path(dir, number)).ok()?;
    let header = file.read_at(0, HEADER).ok()?;
    if !header.starts_with(MAGIC) || header[8..16] != number.to_le_bytes() {
        return None;
    }
    let listed = usize::try_from(number_at(&header, 16)?).ok()?;
    let length = HEADER.checked_add(listed.checked_mul(LISTED)?)?;
    if length as u64 > file.length().ok()? {
        return None;
    }
    let mut bytes = file.read_at(0, length + 4).ok()?;
    let checksum = number_at(&bytes, length)?;
    bytes.truncate(length);
    if crc32c::crc32c(&bytes) != checksum {
        return None;
    }
    let directory: Vec<&[u8]> = bytes[HEADER..].chunks_exact(LISTED).collect();
    let Ok(at) = directory.binary_search_by(|listed| listed[..16].cmp(run.as_bytes())) else {
        return Some(Vec::new());
    };
    entries(&*file, directory[at], length + 4)
}

fn entries(file: &dyn DiskFile, listed: &[u8], begin: usize) -> Option<Vec<IndexEntry>> {
    let [first, count, checksum] = [number_at(listed, 16)?, number_at(listed, 20)?, number_at(listed, 24)?];
    let length = usize::try_from(count).ok()?.checked_mul(ENTRY)?;
    let offset = begin as u64 + u64::from(first) * ENTRY as u64;
    if offset + length as u64 > file.length().ok()? {
        return None;
    }
    let bytes = file.read_at(offset, length).ok()?;
    if crc32c::crc32c(&bytes) != checksum {
        return None;
    }
    bytes.chunks_exact(ENTRY).map(IndexEntry::decode).collect()
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Converts a number of frames to 32 bits; a segment has fewer than 2^32 frames.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
