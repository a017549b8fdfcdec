//! The heads file: the frames of full segments without their bulk.
//!
//! A long record takes a separate segment, of which a reader often needs only a few hundred bytes.
//! In a log with many long records, listing runs would spend most of its time opening files. The
//! heads file contains the frames of these segments without the bulk. The log's owner replaces the
//! file after a segment is full and synced. Nothing depends on the file: a segment that is not
//! listed, or has been written since, is read directly.
//!
//! All numbers are little-endian.
//!
//! | part | bytes | content |
//! |---|---|---|
//! | header | 0–7 | `SPFHDS\0\x01` |
//! | | 8–15 | length of the rest in bytes |
//! | | 16–19 | CRC-32C of the rest |
//! | per segment | 0–3 | length of its entry in bytes, without these four |
//! | | 4–11 | number of the segment |
//! | | 12–19 | length of its file |
//! | | 20–27 | offset at which its frames end |
//! | | 28–35 | when its file was last written, in nanoseconds since 1970 |
//! | | 36–39 | number of its marks |
//! | per mark | 0–15 | number of a segment, and the offset up to which it has been synced |
//! | per frame | 0–7 | offset |
//! | | 8–11 | length |
//! | | 12–15 | number of the run |
//! | | 16–19 | number of the record |
//! | | 20–23 | length of the body |
//! | | 24 | kind, followed by the body |

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use llmspell_workflows_basic::targets;
use smallvec::SmallVec;

use super::{
    FREED, FrameLocation, Shared, lock,
    scan::{Depth, KnownMarks, RecoveredFrame, ScannedSegment},
    segment,
};
use crate::disk::{Disk, FileVersion};

const NAME: &str = "heads";
const MAGIC: &[u8; 8] = b"SPFHDS\0\x01";
const HEADER: usize = 20;

/// A segment with long records is listed if its other data takes up at most this many bytes.
/// The heads file is written as a whole, so it must stay small.
const REST_MAX: u64 = 64 << 10;

/// Returns whether the heads file lists a segment with `bulk` bytes of bulk and `rest` bytes
/// of other data, not counting marks.
pub(super) fn is_listed(bulk: u64, rest: u64) -> bool {
    bulk > 0 && rest <= REST_MAX
}

/// A segment without the bulk of its frames.
struct ListedSegment {
    number: u64,
    scanned: ScannedSegment,
    /// The version of the file that the segment was read from.
    version: FileVersion,
}

/// The entries of a log's heads file, by segment number.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<u64, Vec<u8>>);

impl Heads {
    /// Reads the heads file of a log while the log is being opened. Entries of segments that no
    /// longer exist are dropped, since a new segment may get the same number.
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let mut entries = entries(disk, dir).unwrap_or_default();
        let names = disk.list(dir)?;
        let listed = entries.len();
        entries.retain(|number, _| names.iter().any(|name| segment::number(name) == Some(*number)));
        let heads = Self(entries);
        if heads.0.len() < listed {
            disk.put(&path(dir), &heads.encode())?;
        }
        Ok(heads)
    }

    /// Adds the newest segment. It has marks for all existing earlier segments, so the entries of
    /// earlier segments keep only marks for removed segments.
    fn add(&mut self, number: u64, entry: Vec<u8>) {
        if let Some((_, last)) = self.0.iter_mut().next_back()
            && let Some(mut listed) = decode(last)
        {
            listed.scanned.marks.retain(|(_, end)| *end == FREED);
            *last = encode(&listed);
        }
        self.0.insert(number, entry);
    }

    pub(super) fn lists(&self, number: u64) -> bool {
        self.0.contains_key(&number)
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.0.remove(&number);
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        for entry in self.0.values() {
            bytes.extend_from_slice(&small(entry.len()).to_le_bytes());
            bytes.extend_from_slice(entry);
        }
        let checksum = crc32c::crc32c(&bytes[HEADER..]);
        let length = (bytes.len() - HEADER) as u64;
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&length.to_le_bytes());
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

impl Shared {
    /// Lists these full, synced segments in the heads file.
    pub(super) fn list_heads(&self, numbers: impl Iterator<Item = u64>) {
        let mut is_changed = false;
        for number in numbers {
            let Some(entry) = entry_of(&*self.disk, &self.dir, number) else { continue };
            // A segment may have been removed in the meantime.
            if lock(&self.tail).earlier.contains_key(&number) {
                lock(&self.heads).add(number, entry);
                is_changed = true;
            }
        }
        if !is_changed {
            return;
        }
        let bytes = lock(&self.heads).encode();
        if let Err(error) = self.disk.put(&path(&self.dir), &bytes) {
            tracing::debug!(target: targets::JOURNAL, path = %self.dir.display(), %error, "could not write the heads");
        }
    }
}

/// Returns the path of the heads file of the log in `dir`.
fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// The segments listed in a heads file.
#[derive(Default)]
pub(crate) struct ListedSegments(RefCell<BTreeMap<u64, ListedSegment>>);

impl ListedSegments {
    /// Reads the heads file of the log in `dir`; no segment is listed if the file is missing or
    /// damaged.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Self {
        let entries = entries(disk, dir).unwrap_or_default();
        Self(RefCell::new(entries.iter().filter_map(|(number, entry)| Some((*number, decode(entry)?))).collect()))
    }

    /// Takes segment `number` if it is listed and its file has not changed since.
    pub(crate) fn take(
        &self,
        disk: &dyn Disk,
        path: &Path,
        number: u64,
        known: &KnownMarks,
    ) -> io::Result<Option<ScannedSegment>> {
        let Some(listed) = self.0.borrow_mut().remove(&number) else { return Ok(None) };
        if disk.version(path)? != listed.version {
            return Ok(None);
        }
        listed.scanned.note_marks(known);
        Ok(Some(listed.scanned))
    }
}

fn entries(disk: &dyn Disk, dir: &Path) -> Option<BTreeMap<u64, Vec<u8>>> {
    let file = disk.open_to_read(&path(dir)).ok()?;
    let header = file.read_at(0, HEADER).ok()?;
    let mut fields = Fields(&header[8..]);
    let (length, checksum) = (fields.large()?, fields.small()?);
    if !header.starts_with(MAGIC) || length > file.length().ok()?.saturating_sub(HEADER as u64) {
        return None;
    }
    let bytes = file.read_at(HEADER as u64, usize::try_from(length).ok()?).ok()?;
    if crc32c::crc32c(&bytes) != checksum {
        return None;
    }
    let (mut entries, mut rest) = (BTreeMap::new(), Fields(&bytes));
    while !rest.0.is_empty() {
        let length = rest.small()?;
        let entry = rest.take(length as usize)?;
        entries.insert(Fields(entry).large()?, entry.to_vec());
    }
    Some(entries)
}

/// Returns the entry of a full, synced segment; `None` if the segment is damaged.
fn entry_of(disk: &dyn Disk, dir: &Path, number: u64) -> Option<Vec<u8>> {
    // The bulk is not read, since a synced segment is not torn.
    let known = KnownMarks::default();
    known.note(number, u64::MAX);
    let path = segment::path(dir, number);
    let scanned = ScannedSegment::read(disk, &path, number, Depth::Heads, |_| usize::MAX, &known).ok()?;
    let version = disk.version(&path).ok()?;
    let is_intact = scanned.has_header && scanned.truncated_from.is_none() && scanned.later_marks.is_empty();
    is_intact.then(|| encode(&ListedSegment { number, scanned, version }))
}

fn encode(ListedSegment { number, scanned, version }: &ListedSegment) -> Vec<u8> {
    let mut bytes = [*number, version.length, scanned.end, version.modified].map(u64::to_le_bytes).concat();
    bytes.extend_from_slice(&small(scanned.marks.len()).to_le_bytes());
    for (about, end) in &scanned.marks {
        bytes.extend_from_slice(&about.to_le_bytes());
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    for RecoveredFrame { location, kind, run, record, body } in &scanned.frames {
        bytes.extend_from_slice(&location.offset.to_le_bytes());
        for field in [location.length, *run, *record, small(body.len())] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.push(*kind);
        bytes.extend_from_slice(body);
    }
    bytes
}

fn decode(entry: &[u8]) -> Option<ListedSegment> {
    let mut rest = Fields(entry);
    let (segment, length, end, modified) = (rest.large()?, rest.large()?, rest.large()?, rest.large()?);
    let mut scanned = ScannedSegment { has_header: true, length, end, ..ScannedSegment::default() };
    for _ in 0..rest.small()? {
        scanned.marks.push((rest.large()?, rest.large()?));
    }
    while !rest.0.is_empty() {
        let (offset, length) = (rest.large()?, rest.small()?);
        let (run, record, body) = (rest.small()?, rest.small()?, rest.small()?);
        let kind = *rest.take(1)?.first()?;
        let body = SmallVec::from_slice(rest.take(body as usize)?);
        scanned.frames.push(RecoveredFrame {
            location: FrameLocation { segment, offset, length },
            kind,
            run,
            record,
            body,
        });
    }
    Some(ListedSegment { number: segment, scanned, version: FileVersion { length, modified } })
}

/// The bytes that have not been decoded yet.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn small(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn large(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
}

/// Converts a count or a length in a segment to 32 bits; a segment is shorter than 4 GiB.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
