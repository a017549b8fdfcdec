//! Reads one segment frame by frame, without the bulk of long frames.

use std::{cell::RefCell, collections::BTreeMap, io, path::Path};

use smallvec::SmallVec;

use super::{
    FREED, FrameLocation, LogError, MARK,
    frame::{self, ParsedFrame},
    parse_mark, segment,
};
use crate::disk::{Disk, DiskFile};

/// The initial number of bytes per read. Each consecutive read is twice as long, since frames with
/// a bulk are far apart and other frames are close together.
const WINDOW_MIN: usize = 4 << 10;
const WINDOW_MAX: usize = 64 << 10;

/// How much of a segment to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything, including the zeros after the last frame and each unsynced bulk.
    Full,
    /// Each frame without its bulk, up to the first offset without a frame.
    Heads,
}

/// A frame that was read.
#[derive(Debug, Clone)]
pub(crate) struct RecoveredFrame {
    pub(crate) location: FrameLocation,
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) record: u32,
    /// The body, or its beginning.
    pub(crate) body: SmallVec<[u8; 24]>,
}

/// The maximum number of body bytes that a reader keeps, by frame kind.
pub(crate) type KeepBody = fn(u8) -> usize;

/// A mark: the number of a segment, and the offset up to which it has been synced.
pub(crate) type Mark = (u64, u64);

/// How far segments have been synced, according to the segments read so far.
#[derive(Debug, Default)]
pub(crate) struct KnownMarks(RefCell<BTreeMap<u64, u64>>);

impl KnownMarks {
    /// Notes that segment `about` was synced up to `end`.
    pub(crate) fn note(&self, about: u64, end: u64) {
        let mut marks = self.0.borrow_mut();
        let known = marks.entry(about).or_insert(0);
        *known = end.max(*known);
    }

    fn synced(&self, number: u64) -> u64 {
        self.0.borrow().get(&number).copied().unwrap_or(0)
    }
}

/// A segment that was read.
#[derive(Debug, Default)]
pub(crate) struct ScannedSegment {
    pub(crate) has_header: bool,
    /// The length of the segment according to its header, if the file is shorter.
    pub(crate) truncated_from: Option<u64>,
    /// The length of the file in bytes.
    pub(crate) length: u64,
    pub(crate) frames: Vec<RecoveredFrame>,
    /// The end offset of the intact frames.
    pub(crate) end: u64,
    /// The marks before `end`, in order.
    pub(crate) marks: Vec<Mark>,
    /// The marks after `end`, which show whether the frame at `end` had been synced.
    pub(crate) later_marks: Vec<Mark>,
}

impl ScannedSegment {
    /// Reads segment `number` at `path`. All later segments must already have been read with the
    /// same `known`.
    pub(crate) fn read(
        disk: &dyn Disk,
        path: &Path,
        number: u64,
        depth: Depth,
        keep: KeepBody,
        known: &KnownMarks,
    ) -> Result<Self, ScanError> {
        let file = disk.open_to_read(path)?;
        let mut window = Window { length: file.length()?, file, start: 0, bytes: Vec::new(), step: WINDOW_MIN };
        let mut scanned = Self { length: window.length, ..Self::default() };
        let Some(length) = segment::length(number, window.at(0, segment::HEADER as usize)?) else {
            // No part of the segment was ever synced, unless a mark says otherwise.
            if depth == Depth::Full {
                scanned.later_marks = marks_in(&window.rest(0)?);
            }
            return Ok(scanned);
        };
        scanned.has_header = true;
        scanned.truncated_from = (length > window.length).then_some(length);
        scanned.end = segment::HEADER;
        let broken_at = scanned.read_frames(&mut window, path, number, keep)?;
        if depth == Depth::Full || broken_at == Ending::Broken {
            scanned.later_marks = marks_in(&window.rest(scanned.end)?);
        }
        scanned.note_marks(known);
        scanned.check_bulk(&window, known.synced(number))?;
        Ok(scanned)
    }

    /// Notes how far segments have been synced, according to this segment's marks.
    pub(crate) fn note_marks(&self, known: &KnownMarks) {
        for (about, end) in self.marks.iter().chain(&self.later_marks).filter(|(_, end)| *end != FREED) {
            known.note(*about, *end);
        }
    }

    fn read_frames(
        &mut self,
        window: &mut Window,
        path: &Path,
        number: u64,
        keep: KeepBody,
    ) -> Result<Ending, ScanError> {
        let file_length = window.length;
        loop {
            let at = self.end;
            let wanted = frame::needed(window.at(at, frame::HEAD)?, WINDOW_MAX);
            match frame::read_head(window.at(at, wanted)?) {
                ParsedFrame::Frame(frame, length) => {
                    let next = at + length as u64;
                    if next > file_length {
                        return Ok(Ending::Broken);
                    }
                    if frame.kind == MARK {
                        self.marks.extend(parse_mark(frame.body));
                    } else {
                        let length = u32::try_from(length).unwrap_or(u32::MAX);
                        let kept = keep(frame.kind).min(frame.body.len());
                        self.frames.push(RecoveredFrame {
                            location: FrameLocation { segment: number, offset: at, length },
                            kind: frame.kind,
                            run: frame.run,
                            record: frame.record,
                            body: SmallVec::from_slice(&frame.body[..kept]),
                        });
                    }
                    self.end = next;
                }
                ParsedFrame::OtherVersion(found) => return Err(other_version(path, found).into()),
                ParsedFrame::End => return Ok(Ending::Unwritten),
                ParsedFrame::Broken => return Ok(Ending::Broken),
            }
        }
    }

    /// Ends the segment before the first frame past offset `synced` whose bulk is not intact.
    fn check_bulk(&mut self, window: &Window, synced: u64) -> io::Result<()> {
        let first = self.frames.partition_point(|frame| frame.location.offset < synced);
        for at in first..self.frames.len() {
            let FrameLocation { offset, length, .. } = self.frames[at].location;
            let bytes = window.file.read_at(offset, length as usize)?;
            if !matches!(frame::read(&bytes), ParsedFrame::Frame(..)) {
                self.frames.truncate(at);
                self.end = offset;
                break;
            }
        }
        Ok(())
    }
}

/// Returns the intact frames in `bytes`, which begin at offset `begin` of segment `number` and may
/// contain other data between frames.
pub(crate) fn salvage(number: u64, begin: u64, bytes: &[u8], keep: KeepBody) -> Vec<RecoveredFrame> {
    let mut found = Vec::new();
    each_intact(bytes, |at, length, frame| {
        if frame.kind != MARK {
            let kept = keep(frame.kind).min(frame.body.len());
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            found.push(RecoveredFrame {
                location: FrameLocation { segment: number, offset: begin + at as u64, length },
                kind: frame.kind,
                run: frame.run,
                record: frame.record,
                body: SmallVec::from_slice(&frame.body[..kept]),
            });
        }
    });
    found
}

fn marks_in(bytes: &[u8]) -> Vec<Mark> {
    let mut marks = Vec::new();
    each_intact(bytes, |_, _, frame| {
        if frame.kind == MARK {
            marks.extend(parse_mark(frame.body));
        }
    });
    marks
}

/// Visits the intact frames in `bytes`, with their offsets and lengths.
fn each_intact(bytes: &[u8], mut visit: impl FnMut(usize, usize, frame::Frame<'_>)) {
    let mut at = 0;
    // A frame can begin at any byte, but the first byte of its length is not zero if the length is between 1 and 255.
    while at + frame::HEAD <= bytes.len() {
        match frame::read(&bytes[at..]) {
            ParsedFrame::Frame(frame, length) => {
                visit(at, length, frame);
                at += length;
            }
            ParsedFrame::End => {
                let zeros = leading_zeros(&bytes[at..]);
                // A length begins with a nonzero byte, unless it is a multiple of 256.
                at += zeros.saturating_sub(3).max(1);
            }
            ParsedFrame::Broken | ParsedFrame::OtherVersion(_) => at += 1,
        }
    }
}

/// Returns the number of leading zeros in `bytes`. Compares whole blocks, since most of a new
/// segment is zeros.
fn leading_zeros(bytes: &[u8]) -> usize {
    const BLOCK: [u8; 4096] = [0; 4096];
    let blocks = bytes.chunks_exact(BLOCK.len()).take_while(|block| **block == BLOCK).count();
    let rest = &bytes[blocks * BLOCK.len()..];
    blocks * BLOCK.len() + rest.iter().take_while(|byte| **byte == 0).count()
}

fn other_version(path: &Path, found: u8) -> LogError {
    if found < frame::VERSION {
        return LogError::Older { path: path.to_owned(), found };
    }
    let message = format!("it has version {found}, but this program reads version {}", frame::VERSION);
    LogError::Newer { path: path.to_owned(), message }
}

/// Why the intact frames of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Unwritten,
    Broken,
}

/// Why a segment could not be read.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Log(LogError),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LogError> for ScanError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// A part of a file that has been read.
struct Window {
    file: Box<dyn DiskFile>,
    /// The length of the file.
    length: u64,
    start: u64,
    bytes: Vec<u8>,
    /// The size of the next read in bytes.
    step: usize,
}

impl Window {
    /// Returns at least `wanted` bytes at `offset`, or fewer at the end of the file.
    fn at(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let has = |window: &Self| {
            let skip = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            (window.bytes.len() >= skip + wanted).then_some(skip)
        };
        let skip = match has(self) {
            Some(skip) => skip,
            None => {
                let continues = offset <= self.start + self.bytes.len() as u64;
                let bytes = self.file.read_at(offset, wanted.max(self.step).min(left))?;
                self.step = if continues { (self.step * 2).min(WINDOW_MAX) } else { WINDOW_MIN };
                (self.start, self.bytes) = (offset, bytes);
                0
            }
        };
        Ok(&self.bytes[skip..])
    }

    /// Returns all bytes from `offset` on.
    fn rest(&self, offset: u64) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).map_err(io::Error::other)?;
        self.file.read_at(offset, left)
    }
}
