//! The runs in a log and the segments they need.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    super::{Epoch, JournalError},
    index::SegmentFrames,
};
use crate::log::FrameLocation;

/// The kinds of frames; kind 0 is reserved for the log itself.
pub(super) mod kind {
    /// Assigns a number to a run and begins an epoch.
    pub(in super::super) const OPENED: u8 = 1;
    /// A record, as JSON.
    pub(in super::super) const RECORD: u8 = 2;
    /// The run is forgotten: its records are stored elsewhere.
    pub(in super::super) const FORGOTTEN: u8 = 3;
    /// Assigns a number to an arriving run, whose records do not count yet.
    pub(in super::super) const ARRIVING: u8 = 4;
    /// All records of the arriving runs are present, and replace earlier records of the same runs.
    pub(in super::super) const ARRIVED: u8 = 5;
    /// The run with this number will not arrive.
    pub(in super::super) const ABANDONED: u8 = 6;
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) by_id: HashMap<Uuid, LiveRun>,
    /// The arriving runs, by number.
    pub(super) incoming: HashMap<u32, IncomingRun>,
    /// The damaged runs, each with the reason why it cannot be opened.
    pub(super) damaged: HashMap<Uuid, String>,
    /// Whether frames are missing, possibly including frames of runs that are now unknown.
    pub(super) has_lost: bool,
    pub(super) last_number: u32,
    /// The number of needed frames in each segment: frames of live runs, and tombstones.
    pub(super) needed: BTreeMap<u64, u64>,
    tombstones: Vec<Tombstone>,
    /// Unneeded segments that were still being written at the last attempt to remove them.
    pub(super) unneeded: BTreeSet<u64>,
    /// The frames appended to the current segment, for its index.
    pub(super) current: SegmentFrames,
}

/// A frame that ends the use of a run number, kept as long as any other frame with that number.
struct Tombstone {
    segment: u64,
    /// The segments that still contain frames with the number.
    covers: Vec<u64>,
}

/// The in-memory part of a run, kept small because a log may contain a hundred thousand runs.
#[derive(Default)]
pub(super) struct LiveRun {
    pub(super) number: u32,
    /// The number of records.
    pub(super) count: u32,
    pub(super) epoch: Epoch,
    /// Whether the last record ends the run.
    pub(super) is_closed: bool,
    /// All frames of the run, including frames that only open it.
    frames: SmallVec<[FrameRef; FRAMES_INLINE]>,
}

/// An arriving run.
pub(super) struct IncomingRun {
    pub(super) run: Uuid,
    pub(super) live: LiveRun,
    /// The first hole in its records.
    pub(super) hole: Option<String>,
}

/// An arrived run: its number, its number of records, and its former number in this log (0 if
/// it had none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArrivedRun {
    pub(super) number: u32,
    pub(super) count: u32,
    pub(super) replaced: u32,
}

/// The approximate number of frames of a waiting run; up to this many frames are stored inline.
const FRAMES_INLINE: usize = 4;

/// The location of a frame and whether the frame is a record, in 12 bytes.
#[derive(Clone, Copy)]
struct FrameRef {
    /// The lowest bit says whether the frame is a record; the other bits contain the segment.
    segment_and_kind: u32,
    offset: u32,
    length: u32,
}

impl FrameRef {
    fn new(is_record: bool, location: FrameLocation) -> Self {
        let small = |number: u64| u32::try_from(number).expect("a log has fewer than 2^31 segments of less than 4 GiB");
        let segment_and_kind = small(location.segment << 1) | u32::from(is_record);
        Self { segment_and_kind, offset: small(location.offset), length: location.length }
    }

    fn is_record(self) -> bool {
        self.segment_and_kind & 1 == 1
    }

    fn segment(self) -> u64 {
        (self.segment_and_kind >> 1).into()
    }

    fn location(self) -> FrameLocation {
        FrameLocation { segment: self.segment(), offset: self.offset.into(), length: self.length }
    }
}

impl LiveRun {
    /// Returns the locations of the records.
    pub(super) fn records(&self) -> Vec<FrameLocation> {
        self.frames.iter().filter(|frame| frame.is_record()).map(|frame| frame.location()).collect()
    }

    /// Returns the total size of the frames in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.length)).sum()
    }

    fn push(&mut self, is_record: bool, location: FrameLocation, needed: &mut BTreeMap<u64, u64>) {
        self.frames.push(FrameRef::new(is_record, location));
        *needed.entry(location.segment).or_default() += 1;
    }

    pub(super) fn push_record(&mut self, is_closing: bool, location: FrameLocation, needed: &mut BTreeMap<u64, u64>) {
        self.push(true, location, needed);
        self.count += 1;
        self.is_closed = is_closing;
    }
}

impl Runs {
    /// Returns the locations of the records of `run`.
    pub(super) fn records(&self, run: Uuid) -> Vec<FrameLocation> {
        self.by_id.get(&run).map(LiveRun::records).unwrap_or_default()
    }

    /// Returns the run, which must be in `epoch`, and the number of needed frames in each segment.
    pub(super) fn in_epoch(
        &mut self,
        run: Uuid,
        epoch: Epoch,
    ) -> Result<(&mut LiveRun, &mut BTreeMap<u64, u64>), JournalError> {
        match self.by_id.get_mut(&run) {
            Some(live) if live.epoch == epoch => Ok((live, &mut self.needed)),
            _ => Err(JournalError::Fenced { run }),
        }
    }

    /// Checks that no records of `run` are missing.
    pub(super) fn check(&self, run: Uuid) -> Result<(), JournalError> {
        match self.damaged.get(&run) {
            Some(message) => Err(JournalError::Damaged { run, message: message.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that `run` can be opened. A known run must have all its records; an unknown run can
    /// be opened only if the log has lost no frames.
    pub(super) fn check_open(&self, run: Uuid) -> Result<(), JournalError> {
        if self.has_lost && !self.by_id.contains_key(&run) {
            let message = "the journal has lost records, possibly from this run".to_owned();
            return Err(JournalError::Damaged { run, message });
        }
        self.check(run)
    }

    pub(super) fn open(&mut self, run: Uuid, number: u32, epoch: Epoch, location: FrameLocation) {
        self.last_number = self.last_number.max(number);
        let live = self.by_id.entry(run).or_insert_with(|| LiveRun { number, ..LiveRun::default() });
        live.epoch = epoch;
        live.push(false, location, &mut self.needed);
    }

    /// Adds a record at `location` to the known run `run`.
    pub(super) fn push_record(&mut self, run: Uuid, is_closing: bool, location: FrameLocation) {
        if let Some(live) = self.by_id.get_mut(&run) {
            live.push_record(is_closing, location, &mut self.needed);
        }
    }

    /// Adds an arriving run.
    pub(super) fn begin_arrival(&mut self, run: Uuid, number: u32, epoch: Epoch, location: FrameLocation) {
        self.last_number = self.last_number.max(number);
        let mut live = LiveRun { number, epoch, ..LiveRun::default() };
        live.push(false, location, &mut self.needed);
        self.incoming.insert(number, IncomingRun { run, live, hole: None });
    }

    /// Adds a record at `location` to the arriving run with this number.
    pub(super) fn push_arriving(&mut self, number: u32, is_closing: bool, location: FrameLocation) {
        if let Some(incoming) = self.incoming.get_mut(&number) {
            incoming.live.push_record(is_closing, location, &mut self.needed);
        }
    }

    /// Makes the arriving run with this number live, as directed by the frame at `location`.
    /// Returns the run, and the segments that are no longer needed because its former records are
    /// replaced.
    pub(super) fn arrive(&mut self, number: u32, location: FrameLocation) -> Option<(Uuid, Vec<u64>)> {
        let IncomingRun { run, mut live, hole } = self.incoming.remove(&number)?;
        live.push(false, location, &mut self.needed);
        let former = self.by_id.insert(run, live);
        match hole {
            Some(hole) => self.damaged.insert(run, hole),
            None => self.damaged.remove(&run),
        };
        Some((run, former.map(|former| self.bury(former, location.segment)).unwrap_or_default()))
    }

    /// Drops the arriving run with this number, as directed by the frame at `location`; returns
    /// the segments that are no longer needed.
    pub(super) fn abandon(&mut self, number: u32, location: FrameLocation) -> Vec<u64> {
        let incoming = self.incoming.remove(&number);
        incoming.map(|incoming| self.bury(incoming.live, location.segment)).unwrap_or_default()
    }

    /// Removes a run, whose tombstone is in `segment`; returns the segments that are no longer needed.
    pub(super) fn forget(&mut self, run: Uuid, segment: u64) -> Vec<u64> {
        self.damaged.remove(&run);
        self.by_id.remove(&run).map(|live| self.bury(live, segment)).unwrap_or_default()
    }

    /// Releases the frames of a run; `segment` contains the frame that ends the use of the run's number.
    fn bury(&mut self, live: LiveRun, segment: u64) -> Vec<u64> {
        self.cover(live.frames.iter().map(|frame| frame.segment()).collect(), segment);
        let mut freed = Vec::new();
        for frame in live.frames {
            self.release(frame.segment(), &mut freed);
        }
        freed
    }

    /// Keeps the tombstone in `segment` as long as any of the segments it covers exists.
    pub(super) fn cover(&mut self, mut covers: Vec<u64>, segment: u64) {
        covers.dedup();
        // Frames in the same segment as the tombstone are removed together with it.
        covers.retain(|covered| *covered != segment);
        if !covers.is_empty() {
            *self.needed.entry(segment).or_default() += 1;
            self.tombstones.push(Tombstone { segment, covers });
        }
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

/// The length of an arrived run in a frame, in bytes.
const ARRIVED_LENGTH: usize = 12;

pub(super) fn arrived_body(arrived: &[ArrivedRun]) -> Vec<u8> {
    let numbers = arrived.iter().flat_map(|run| [run.number, run.count, run.replaced]);
    numbers.flat_map(u32::to_le_bytes).collect()
}

pub(super) fn parse_arrived(body: &[u8]) -> Option<Vec<ArrivedRun>> {
    let number = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let parts = body.chunks(ARRIVED_LENGTH);
    parts
        .map(|part| Some(ArrivedRun { number: number(part, 0)?, count: number(part, 4)?, replaced: number(part, 8)? }))
        .collect()
}
