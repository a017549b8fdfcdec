//! Which runs a log holds, and which of its segments they need.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::super::{Epoch, JournalError};
use crate::log::{Place, recover::Recovered};

/// Kinds of frames; 0 is the log's own.
pub(super) mod kind {
    /// The number that stands for a run from here on, and the epoch that begins.
    pub(in super::super) const OPENED: u8 = 1;
    /// A record, as JSON.
    pub(in super::super) const RECORD: u8 = 2;
    /// The run's records are kept elsewhere.
    pub(in super::super) const FORGOTTEN: u8 = 3;
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) by_id: HashMap<Uuid, Live>,
    pub(super) last_number: u32,
    /// How many frames of live runs each segment holds, and how many tombs.
    pub(super) needed: BTreeMap<u64, u64>,
    tombs: Vec<Tomb>,
    /// Segments that no run needed while frames were still appended to them.
    pub(super) unneeded: BTreeSet<u64>,
}

/// A frame that says that a run is forgotten; it must stay as long as another frame of that run does.
struct Tomb {
    segment: u64,
    /// Where frames of the run still are.
    covers: Vec<u64>,
}

/// What is in memory of a run, of which there may be a hundred thousand.
pub(super) struct Live {
    pub(super) number: u32,
    pub(super) epoch: Epoch,
    /// All of its frames, those that only open it among them.
    frames: Vec<FrameAt>,
}

/// The kind of a frame and where it is, in 16 bytes.
#[derive(Clone, Copy)]
struct FrameAt {
    segment: u32,
    offset: u32,
    length: u32,
    kind: u8,
}

impl FrameAt {
    fn new(kind: u8, place: Place) -> Self {
        let small = |number: u64| u32::try_from(number).expect("a log has fewer than 2^32 segments of less than 4 GiB");
        Self { segment: small(place.segment), offset: small(place.offset), length: place.length, kind }
    }

    fn place(self) -> Place {
        Place { segment: self.segment.into(), offset: self.offset.into(), length: self.length }
    }
}

/// The runs of a log that is read, with the numbers that stand for them in its frames.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) runs: Runs,
    pub(super) by_number: HashMap<u32, Uuid>,
}

impl Reading {
    /// Takes in the next frame that was found in the log.
    pub(super) fn take_in(&mut self, frame: Recovered) -> Result<(), JournalError> {
        let Recovered { place, kind, run: number, body } = frame;
        match kind {
            kind::OPENED => {
                let (run, epoch) = read_opened(&body).ok_or_else(|| unreadable(place))?;
                self.by_number.insert(number, run);
                self.runs.open(run, number, epoch, place);
            }
            kind::FORGOTTEN => {
                let run = Uuid::from_slice(&body).map_err(|_| unreadable(place))?;
                self.by_number.remove(&number);
                self.runs.forget(run, place.segment);
            }
            // One that nobody opened is left of a run that has been forgotten.
            _ => {
                if let Some(run) = self.by_number.get(&number).copied() {
                    self.runs.need(run, kind, place);
                }
            }
        }
        Ok(())
    }
}

impl Runs {
    /// Where the records of `run` are.
    pub(super) fn records(&self, run: Uuid) -> Vec<Place> {
        let Some(live) = self.by_id.get(&run) else { return Vec::new() };
        live.frames.iter().filter(|frame| frame.kind == kind::RECORD).map(|frame| frame.place()).collect()
    }

    pub(super) fn number(&self, run: Uuid, epoch: Epoch) -> Result<u32, JournalError> {
        match self.by_id.get(&run) {
            Some(live) if live.epoch == epoch => Ok(live.number),
            _ => Err(JournalError::Fenced { run }),
        }
    }

    pub(super) fn open(&mut self, run: Uuid, number: u32, epoch: Epoch, place: Place) {
        self.last_number = self.last_number.max(number);
        let live = self.by_id.entry(run).or_insert_with(|| Live { number, epoch, frames: Vec::new() });
        live.epoch = epoch;
        self.need(run, kind::OPENED, place);
    }

    pub(super) fn need(&mut self, run: Uuid, kind: u8, place: Place) {
        if let Some(live) = self.by_id.get_mut(&run) {
            live.frames.push(FrameAt::new(kind, place));
            *self.needed.entry(place.segment).or_default() += 1;
        }
    }

    /// Lets go of a run, whose tomb is in `segment`; returns the segments that nobody needs any more.
    pub(super) fn forget(&mut self, run: Uuid, segment: u64) -> Vec<u64> {
        let Some(live) = self.by_id.remove(&run) else { return Vec::new() };
        let mut covers: Vec<u64> = live.frames.iter().map(|frame| frame.segment.into()).collect();
        covers.dedup();
        // What stands beside its tomb goes with it.
        covers.retain(|covered| *covered != segment);
        if !covers.is_empty() {
            *self.needed.entry(segment).or_default() += 1;
            self.tombs.push(Tomb { segment, covers });
        }
        let mut freed = Vec::new();
        for frame in live.frames {
            self.release(frame.segment.into(), &mut freed);
        }
        freed
    }

    /// One frame less is needed of `segment`; without any it goes, and with it the need of tombs for what it held.
    fn release(&mut self, segment: u64, freed: &mut Vec<u64>) {
        let Some(count) = self.needed.get_mut(&segment) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.needed.remove(&segment);
        freed.push(segment);
        self.tombs.iter_mut().for_each(|tomb| tomb.covers.retain(|covered| *covered != segment));
        let empty: Vec<_> = self.tombs.extract_if(.., |tomb| tomb.covers.is_empty()).collect();
        for tomb in empty {
            self.release(tomb.segment, freed);
        }
    }
}

pub(super) fn opened(run: Uuid, epoch: Epoch) -> Vec<u8> {
    [run.as_bytes().as_slice(), &epoch.0.to_le_bytes()].concat()
}

fn read_opened(body: &[u8]) -> Option<(Uuid, Epoch)> {
    let epoch = u64::from_le_bytes(body.get(16..24)?.try_into().ok()?);
    Some((Uuid::from_slice(body.get(..16)?).ok()?, Epoch(epoch)))
}

fn unreadable(place: Place) -> JournalError {
    let message = format!("the frame at {} of segment {} cannot be read", place.offset, place.segment);
    JournalError::Damaged { run: Uuid::nil(), message }
}
