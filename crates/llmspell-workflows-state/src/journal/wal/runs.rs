//! The runs in a log, and the segments that they need.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    super::{Epoch, JournalError},
    index::SegmentFrames,
};
use crate::log::{FrameLocation, recover::RecoveredFrame};

/// The kinds of frames; kind 0 belongs to the log itself.
pub(super) mod kind {
    /// Assigns a number to a run and begins an epoch.
    pub(in super::super) const OPENED: u8 = 1;
    /// A record, as JSON.
    pub(in super::super) const RECORD: u8 = 2;
    /// The run is forgotten: its records are stored elsewhere.
    pub(in super::super) const FORGOTTEN: u8 = 3;
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) by_id: HashMap<Uuid, LiveRun>,
    pub(super) last_number: u32,
    /// The number of frames of live runs and of tombstones in each segment.
    pub(super) needed: BTreeMap<u64, u64>,
    tombstones: Vec<Tombstone>,
    /// Segments that no run needs, but that were still being written at the last attempt to remove them.
    pub(super) unneeded: BTreeSet<u64>,
    /// The frames appended to the current segment, for its index.
    pub(super) current: SegmentFrames,
}

/// A frame that marks a run as forgotten. It must be kept as long as any other frame of that run.
struct Tombstone {
    segment: u64,
    /// The segments that still contain frames of the run.
    covers: Vec<u64>,
}

/// The in-memory part of a run. A log may have a hundred thousand runs.
pub(super) struct LiveRun {
    pub(super) number: u32,
    pub(super) epoch: Epoch,
    /// All frames of the run, including those that only open it.
    frames: SmallVec<[FrameRef; FRAMES_INLINE]>,
}

/// The approximate number of frames of a waiting run; up to this many are stored without an allocation.
const FRAMES_INLINE: usize = 4;

/// The kind and location of a frame, in 12 bytes.
#[derive(Clone, Copy)]
struct FrameRef {
    /// The kind in the two lowest bits, and the segment in the remaining bits.
    segment_and_kind: u32,
    offset: u32,
    length: u32,
}

impl FrameRef {
    fn new(kind: u8, location: FrameLocation) -> Self {
        let small = |number: u64| u32::try_from(number).expect("a log has fewer than 2^30 segments of less than 4 GiB");
        debug_assert!(kind < 4, "the kind of a frame fits in two bits");
        let segment_and_kind = small(location.segment << 2) | u32::from(kind);
        Self { segment_and_kind, offset: small(location.offset), length: location.length }
    }

    fn kind(self) -> u8 {
        (self.segment_and_kind & 3) as u8
    }

    fn segment(self) -> u64 {
        (self.segment_and_kind >> 2).into()
    }

    fn location(self) -> FrameLocation {
        FrameLocation { segment: self.segment(), offset: self.offset.into(), length: self.length }
    }
}

/// The runs of a log that is being read, with the numbers that its frames use for them.
#[derive(Default)]
pub(super) struct LogReader {
    pub(super) runs: Runs,
    pub(super) by_number: HashMap<u32, Uuid>,
}

impl LogReader {
    /// Adds the next frame of the log.
    pub(super) fn add_frame(&mut self, frame: RecoveredFrame) -> Result<(), JournalError> {
        let RecoveredFrame { location, kind, run: number, body } = frame;
        match kind {
            kind::OPENED => {
                let (run, epoch) = parse_opened(&body).ok_or_else(|| unreadable(location))?;
                self.by_number.insert(number, run);
                self.runs.open(run, number, epoch, location);
            }
            kind::FORGOTTEN => {
                let run = Uuid::from_slice(&body).map_err(|_| unreadable(location))?;
                self.by_number.remove(&number);
                self.runs.forget(run, location.segment);
            }
            // A frame whose run is not open is left over from a forgotten run.
            _ => {
                if let Some(run) = self.by_number.get(&number).copied() {
                    self.runs.need(run, kind, location);
                }
            }
        }
        Ok(())
    }
}

impl Runs {
    /// Returns the locations of the records of `run`.
    pub(super) fn records(&self, run: Uuid) -> Vec<FrameLocation> {
        let Some(live) = self.by_id.get(&run) else { return Vec::new() };
        live.frames.iter().filter(|frame| frame.kind() == kind::RECORD).map(|frame| frame.location()).collect()
    }

    pub(super) fn number(&self, run: Uuid, epoch: Epoch) -> Result<u32, JournalError> {
        match self.by_id.get(&run) {
            Some(live) if live.epoch == epoch => Ok(live.number),
            _ => Err(JournalError::Fenced { run }),
        }
    }

    pub(super) fn open(&mut self, run: Uuid, number: u32, epoch: Epoch, location: FrameLocation) {
        self.last_number = self.last_number.max(number);
        let live = self.by_id.entry(run).or_insert_with(|| LiveRun { number, epoch, frames: SmallVec::new() });
        live.epoch = epoch;
        self.need(run, kind::OPENED, location);
    }

    pub(super) fn need(&mut self, run: Uuid, kind: u8, location: FrameLocation) {
        if let Some(live) = self.by_id.get_mut(&run) {
            live.frames.push(FrameRef::new(kind, location));
            *self.needed.entry(location.segment).or_default() += 1;
        }
    }

    /// Removes a run, whose tombstone is in `segment`; returns the segments that are no longer needed.
    pub(super) fn forget(&mut self, run: Uuid, segment: u64) -> Vec<u64> {
        let Some(live) = self.by_id.remove(&run) else { return Vec::new() };
        let mut covers: Vec<u64> = live.frames.iter().map(|frame| frame.segment()).collect();
        covers.dedup();
        // Frames in the same segment as the tombstone are removed together with it.
        covers.retain(|covered| *covered != segment);
        if !covers.is_empty() {
            *self.needed.entry(segment).or_default() += 1;
            self.tombstones.push(Tombstone { segment, covers });
        }
        let mut freed = Vec::new();
        for frame in live.frames {
            self.release(frame.segment(), &mut freed);
        }
        freed
    }

    /// Decrements the number of needed frames in `segment`. If none is left, the segment is freed, and tombstones no
    /// longer need to cover it.
    fn release(&mut self, segment: u64, freed: &mut Vec<u64>) {
        let Some(count) = self.needed.get_mut(&segment) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.needed.remove(&segment);
        freed.push(segment);
        self.tombstones.iter_mut().for_each(|tombstone| tombstone.covers.retain(|covered| *covered != segment));
        let empty: Vec<_> = self.tombstones.extract_if(.., |tombstone| tombstone.covers.is_empty()).collect();
        for tombstone in empty {
            self.release(tombstone.segment, freed);
        }
    }
}

pub(super) fn opened_body(run: Uuid, epoch: Epoch) -> Vec<u8> {
    [run.as_bytes().as_slice(), &epoch.0.to_le_bytes()].concat()
}

pub(super) fn parse_opened(body: &[u8]) -> Option<(Uuid, Epoch)> {
    let epoch = u64::from_le_bytes(body.get(16..24)?.try_into().ok()?);
    Some((Uuid::from_slice(body.get(..16)?).ok()?, Epoch(epoch)))
}

fn unreadable(location: FrameLocation) -> JournalError {
    let message = format!("the frame at {} of segment {} cannot be read", location.offset, location.segment);
    JournalError::Damaged { run: Uuid::nil(), message }
}
