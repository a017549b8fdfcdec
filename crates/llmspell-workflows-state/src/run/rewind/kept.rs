//! What stays.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepPath,
    engine::{Compensable, Decision, Output, Received},
};

use super::{RewindError, Rewinding};
use crate::{
    record::{End, Kept, KeptChange, Known, Record, Rewound},
    run::replay::Replay,
};

impl Rewinding<'_> {
    /// What a new run that goes on so has in common with this one: the records after the first.
    ///
    /// # Errors
    /// The records make no sense.
    pub fn kept(&self, at: Timestamp) -> Result<Vec<Record>, RewindError> {
        let old = Replay::read(self.records.to_vec()).map_err(RewindError::Damaged)?;
        let (mut known, mut kept) = (Known::default(), Vec::new());
        let decided: HashMap<usize, _> =
            self.decisions.iter().map(|(path, kind, index, number)| (*number, (*path, *kind, *index))).collect();
        for (number, record) in self.records.iter().enumerate() {
            match record {
                Record::Decided { path, .. } if self.stays(path) => {
                    let Some((path, kind, index)) = decided.get(&number) else { continue };
                    if !self.again.undecided.contains(&((*path).to_owned(), *kind, *index)) {
                        kept.push(of_its_own(record));
                    }
                }
                Record::Ended { path, end, time_us } if self.stays(path) => {
                    let counts = self.ends.get(&**path).is_some_and(|counted| std::ptr::eq(*counted, end));
                    if counts && !self.again.reopened.contains(path) {
                        // What it changed in the state may have been migrated since.
                        let end = old.end(path).unwrap_or(end);
                        let end = copied(&old, &mut known, path, end)?;
                        kept.push(Record::Ended { path: path.clone(), end, time_us: *time_us });
                    }
                }
                _ => {}
            }
        }
        if !self.reentered.is_empty() {
            let reentered = self.reentered.iter().map(|(path, generation)| (path.clone(), *generation)).collect();
            kept.push(Record::Rewound(Box::new(Rewound { at, reentered, ..Rewound::default() })));
        }
        Ok(kept)
    }

    /// Whether the records of a step still count, and go on to.
    fn stays(&self, path: &str) -> bool {
        let counts = path.parse().is_ok_and(|path: StepPath| self.first.contains_key(&path));
        counts && !self.again.leaves.contains_key(path)
    }
}

/// The record for a new run: its messages are counted anew, so that none is taken for one that the old run had, and what
/// the old run did is not the new one's to undo.
fn of_its_own(record: &Record) -> Record {
    let mut record = record.clone();
    if let Record::Decided { decision, .. } = &mut record {
        match decision {
            Decision::Received(Received::Signal(signal)) => Arc::make_mut(signal).number = 0,
            Decision::Compensable(compensable) => *compensable = Compensable::Never,
            _ => {}
        }
    }
    record
}

/// How a step ended, with references to what a new run has too.
fn copied(old: &Replay, known: &mut Known, path: &str, end: &End) -> Result<End, RewindError> {
    let End::Completed { output, changes } = end else { return Ok(end.clone()) };
    let damaged = |at: String| RewindError::Damaged(format!("{path} refers to the output of {at}, which is not there"));
    let value = old.known.value(output).map_err(damaged)?;
    let state_changes = old.known.changes(path, changes).map_err(damaged)?;
    let is_whole = matches!(output, Kept::Value(_)) && changes.iter().all(KeptChange::is_whole);
    let output = Output { value, state_changes };
    let end = if is_whole { end.clone() } else { known.keep(Some(path), &output, true) };
    known.add(path, &output);
    Ok(end)
}
