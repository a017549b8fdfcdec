//! Tracks the runs of a log as its frames are read, and finds the runs that lost frames.

use std::collections::BTreeMap;

use foldhash::HashMap;
use uuid::Uuid;

use super::runs::{ArrivedRun, Runs, kind, parse_arrived, parse_opened};
use crate::log::{FrameLocation, LogDamage, LogItem, Recovery, scan::RecoveredFrame};

/// The first bytes of a record that ends its run.
const CLOSED: &[u8] = b"{\"closed\"";

/// Returns how many body bytes of a frame of this kind are needed to track the log's runs.
pub(super) fn needed_body(kind: u8) -> usize {
    if kind == kind::RECORD { CLOSED.len() } else { usize::MAX }
}

/// Returns whether the record whose body begins with `body` ends its run.
pub(super) fn is_closing(body: &[u8]) -> bool {
    body.starts_with(CLOSED)
}

/// The runs of a log being read, with the run numbers that its frames use.
#[derive(Default)]
pub(super) struct LogReader {
    runs: Runs,
    by_number: HashMap<u32, Uuid>,
    /// Runs that may have lost their last records, each with a message about the gap.
    suspects: HashMap<Uuid, String>,
    /// The segments with frames of unopened runs, by run number.
    ///
    /// A forgotten run leaves such frames, which precede its tombstone, until their segments are
    /// removed.
    orphans: BTreeMap<u32, Vec<u64>>,
}

/// The runs of a log, and the damage to the log itself.
pub(super) struct ReadLog {
    pub(super) runs: Runs,
    pub(super) damage: Vec<LogDamage>,
}

impl LogReader {
    /// Processes all frames of a log and calls `see` with each.
    pub(super) fn read(
        recovery: &mut Recovery,
        dir: &std::path::Path,
        mut see: impl FnMut(&RecoveredFrame),
    ) -> ReadLog {
        let mut reader = Self::default();
        for item in std::mem::take(&mut recovery.items) {
            match item {
                LogItem::Frame(frame) => {
                    see(&frame);
                    if let Err(message) = reader.add_frame(&frame) {
                        let path = crate::log::segment::path(dir, frame.location.segment);
                        recovery.damage.push(LogDamage { path, message });
                    }
                }
                LogItem::Gap(at) => reader.add_gap(&recovery.damage[at].to_string()),
            }
        }
        let (mut runs, orphans) = reader.finish();
        let mut damage = std::mem::take(&mut recovery.damage);
        if orphans > 0 {
            let message = format!("{orphans} frames belong to runs whose first records are missing");
            damage.push(LogDamage { path: dir.to_owned(), message });
        }
        runs.has_lost = !damage.is_empty();
        ReadLog { runs, damage }
    }

    /// Adds the next frame of the log.
    ///
    /// # Errors
    /// Returns a message if the frame cannot be read.
    pub(super) fn add_frame(&mut self, frame: &RecoveredFrame) -> Result<(), String> {
        let RecoveredFrame { location, kind, run: number, record, body } = frame;
        let unreadable = || format!("the frame at {} cannot be read", location.offset);
        match *kind {
            kind::OPENED => {
                let (run, epoch) = parse_opened(body).ok_or_else(unreadable)?;
                let is_new = !self.runs.by_id.contains_key(&run);
                self.by_number.insert(*number, run);
                self.runs.open(run, *number, epoch, *location);
                if is_new && epoch.0 > 1 {
                    self.runs.damaged.insert(run, "its first records are missing".to_owned());
                }
            }
            kind::RECORD => self.add_record(*number, *record, is_closing(body), *location),
            kind::FORGOTTEN => {
                let run = Uuid::from_slice(body).map_err(|_| unreadable())?;
                self.end_number(*number, location.segment);
                self.suspects.remove(&run);
                self.runs.forget(run, location.segment);
            }
            kind::ARRIVING => {
                let (run, epoch) = parse_opened(body).ok_or_else(unreadable)?;
                self.runs.begin_arrival(run, *number, epoch, *location);
            }
            kind::ARRIVED => {
                for arrived in parse_arrived(body).ok_or_else(unreadable)? {
                    self.arrive(arrived, *location);
                }
            }
            kind::ABANDONED => {
                self.end_number(*number, location.segment);
                self.runs.abandon(*number, *location);
            }
            other => return Err(format!("the frame at {} has the unknown kind {other}", location.offset)),
        }
        Ok(())
    }

    fn add_record(&mut self, number: u32, record: u32, is_closing: bool, location: FrameLocation) {
        if let Some(run) = self.by_number.get(&number).copied() {
            let expected = self.runs.by_id.get(&run).map_or(0, |live| live.count);
            if let Some(hole) = hole(expected, record) {
                self.runs.damaged.entry(run).or_insert(hole);
            }
            self.suspects.remove(&run);
            self.runs.push_record(run, is_closing, location);
        } else if let Some(incoming) = self.runs.incoming.get_mut(&number) {
            let hole = hole(incoming.live.count, record);
            incoming.hole = incoming.hole.take().or(hole);
            self.runs.push_arriving(number, is_closing, location);
        } else {
            self.orphans.entry(number).or_default().push(location.segment);
        }
    }

    fn arrive(&mut self, arrived: ArrivedRun, location: FrameLocation) {
        let ArrivedRun { number, count, replaced } = arrived;
        if replaced > 0 {
            self.end_number(replaced, location.segment);
        }
        let Some(incoming) = self.runs.incoming.get_mut(&number) else {
            // The run's first frames are missing, which is legitimate if the run is forgotten
            // later.
            self.orphans.entry(number).or_default().push(location.segment);
            return;
        };
        if incoming.live.count != count {
            let hole = format!("only {} of its {count} records are present", incoming.live.count);
            incoming.hole.get_or_insert(hole);
        }
        if let Some((run, _)) = self.runs.arrive(number, location) {
            self.by_number.insert(number, run);
            self.suspects.remove(&run);
        }
    }

    /// Notes that a frame in `segment` ends the use of a run number.
    fn end_number(&mut self, number: u32, segment: u64) {
        self.by_number.remove(&number);
        if let Some(orphans) = self.orphans.remove(&number) {
            self.runs.cover(orphans, segment);
        }
    }

    /// Notes that frames may be missing at this point. Each run is suspected of having lost
    /// records until its next record is found.
    pub(super) fn add_gap(&mut self, message: &str) {
        for run in self.runs.by_id.keys() {
            self.suspects.entry(*run).or_insert_with(|| format!("its last records may be missing: {message}"));
        }
    }

    /// Returns the runs, and the number of records without a run.
    pub(super) fn finish(self) -> (Runs, u64) {
        let Self { mut runs, suspects, orphans, .. } = self;
        for (run, message) in suspects {
            runs.damaged.entry(run).or_insert(message);
        }
        (runs, orphans.values().map(|segments| segments.len() as u64).sum())
    }
}

fn hole(expected: u32, found: u32) -> Option<String> {
    match found {
        _ if found == expected => None,
        _ if found < expected => Some(format!("record {found} follows record {}", expected - 1)),
        _ => Some(format!("record {expected} is missing")),
    }
}
