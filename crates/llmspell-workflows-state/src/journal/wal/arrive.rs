//! Brings runs into a log, each with all of its records or not at all.

use uuid::Uuid;

use super::{
    super::{Arrival, Epoch, JournalError},
    OpenLog, WalJournal,
    reader::is_closing,
    runs::{ArrivedRun, arrived_body, kind, opened_body},
};
use crate::{
    log::{Position, frame::Frame},
    record::{EncodedRecord, Record},
};

/// An arriving run's records are handed to the operating system each time this many bytes are
/// buffered.
const PENDING_MAX: usize = 4 << 20;

/// A journal is rewritten once it has at least this many older segments and a rewrite would free
/// half their space.
const SEGMENTS_MIN: usize = 4;

impl OpenLog {
    /// Appends the records of `arrivals`, then the frame that makes them valid; blocks on the disk.
    ///
    /// Returns the epochs, the segments that are no longer needed, and the position up to which the log must be synced.
    pub(super) fn arrive(&self, arrivals: &[Arrival]) -> Result<(Vec<Epoch>, Vec<u64>, Position), JournalError> {
        let (mut epochs, mut arrived) = (Vec::new(), Vec::new());
        for arrival in arrivals {
            let (number, epoch) = self.begin_arrival(arrival)?;
            epochs.push(epoch);
            arrived.push(ArrivedRun { number, count: small(arrival.records.len()), replaced: 0 });
            if let Err(error) = self.append_arriving(arrival, number) {
                arrived.iter().try_for_each(|run| self.abandon(run.number).map(drop))?;
                return Err(error);
            }
        }
        let mut runs = self.runs();
        for (run, arrival) in arrived.iter_mut().zip(arrivals) {
            run.replaced = runs.by_id.get(&arrival.run).map_or(0, |live| live.number);
        }
        let body = arrived_body(&arrived);
        let (position, location) = self.log.append(Frame { kind: kind::ARRIVED, body: &body, ..Frame::default() })?;
        let freed = arrived.iter().filter_map(|run| runs.arrive(run.number, location)).flat_map(|(_, freed)| freed);
        let freed = freed.collect();
        let about: Vec<Uuid> = arrivals.iter().map(|arrival| arrival.run).collect();
        self.index(&mut runs, location, 0, kind::ARRIVED, &about);
        Ok((epochs, freed, position))
    }

    fn begin_arrival(&self, arrival: &Arrival) -> Result<(u32, Epoch), JournalError> {
        let mut runs = self.runs();
        let here = runs.by_id.get(&arrival.run).map_or(Epoch(0), |live| live.epoch);
        let (number, epoch) = (runs.last_number + 1, Epoch(arrival.after.max(here).0 + 1));
        let body = opened_body(arrival.run, epoch);
        let frame = Frame { kind: kind::ARRIVING, run: number, body: &body, ..Frame::default() };
        let (_, location) = self.log.append(frame)?;
        runs.begin_arrival(arrival.run, number, epoch, location);
        self.index(&mut runs, location, number, kind::ARRIVING, &[]);
        Ok((number, epoch))
    }

    fn append_arriving(&self, arrival: &Arrival, number: u32) -> Result<(), JournalError> {
        let mut pending = 0;
        for (nth, record) in (0..).zip(&arrival.records) {
            let encoded = record.encode_with_outline();
            let EncodedRecord { body, bulk } = encoded.map_err(|error| JournalError::unreadable(arrival.run, error))?;
            pending += body.len() + bulk.len();
            {
                // The lock is released after each record so that other runs can append.
                let mut runs = self.runs();
                let frame = Frame { kind: kind::RECORD, run: number, record: nth, body: &body, bulk: &bulk };
                let (_, location) = self.log.append(frame)?;
                runs.push_arriving(number, is_closing(&body), location);
                self.index(&mut runs, location, number, kind::RECORD, &[]);
            }
            if pending >= PENDING_MAX {
                self.log.write_all()?;
                pending = 0;
            }
        }
        Ok(())
    }

    /// Abandons the arriving run with this number; returns the segments that are no longer needed.
    fn abandon(&self, number: u32) -> Result<Vec<u64>, JournalError> {
        let mut runs = self.runs();
        let Some(run) = runs.incoming.get(&number).map(|incoming| incoming.run) else { return Ok(Vec::new()) };
        let frame = Frame { kind: kind::ABANDONED, run: number, body: run.as_bytes(), ..Frame::default() };
        let (_, location) = self.log.append(frame)?;
        let freed = runs.abandon(number, location);
        self.index(&mut runs, location, number, kind::ABANDONED, &[run]);
        Ok(freed)
    }

    /// Abandons the runs that were still arriving when the log's former owner ended.
    pub(super) fn abandon_incoming(&self) -> Result<(), JournalError> {
        let numbers: Vec<u32> = self.runs().incoming.keys().copied().collect();
        for number in numbers {
            let freed = self.abandon(number)?;
            self.runs().unneeded.extend(freed);
        }
        Ok(())
    }

    /// Returns the runs to rewrite, if rewriting frees at least half the space of older segments.
    fn worth_rewriting(&self, is_thorough: bool) -> Vec<Uuid> {
        let runs = self.runs();
        let older = self.log.older_segments();
        let sound = || runs.by_id.iter().filter(|(run, _)| !runs.damaged.contains_key(run));
        let live: u64 = sound().map(|(_, run)| run.bytes()).sum();
        let used: u64 = older.iter().sum();
        // Right after a rewrite, the runs may take one segment more than in an empty log.
        let least = (self.log.segments_for(live) + 2).max(if is_thorough { 0 } else { SEGMENTS_MIN });
        if older.len() >= least && live * 2 < used { sound().map(|(run, _)| *run).collect() } else { Vec::new() }
    }
}

impl WalJournal {
    /// Appends the runs' records again so that older segments are no longer needed.
    pub(super) async fn rewrite(&self, is_thorough: bool) -> Result<(), JournalError> {
        use crate::journal::Journal;
        for run in self.open.worth_rewriting(is_thorough) {
            let records: Vec<Record> = self.records(run).await?;
            self.arrive(vec![Arrival { run, after: Epoch(0), records }]).await?;
        }
        Ok(())
    }
}

/// Converts a record count to 32 bits; no run has nearly that many records.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
