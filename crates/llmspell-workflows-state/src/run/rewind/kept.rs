//! What stays.

use std::sync::Arc;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepPath,
    engine::{Compensable, Decision, Output, Received},
};

use super::{RewindError, Rewinding};
use crate::record::{ChoiceAt, End, Kept, KeptChange, Known, Record, Rewound};

impl Rewinding<'_> {
    /// What a new run that goes on so has in common with this one: the records after the first.
    ///
    /// # Errors
    /// The records make no sense.
    pub fn kept(&self, at: Timestamp) -> Result<Vec<Record>, RewindError> {
        let mut kept = Vec::new();
        for (path, step) in self.state.steps().filter(|(path, _)| self.stays(path)) {
            for (key, decided) in &step.decisions {
                if !self.again.undecided.contains(&ChoiceAt { path: path.to_owned(), key: key.clone() }) {
                    let decision = of_its_own(decided.decision.clone());
                    let record = Record::Decided { path: path.to_owned(), decision, time_us: decided.time_us };
                    kept.push((decided.number, record));
                }
            }
            if let Some(ended) = step.end.as_ref().filter(|_| !self.again.reopened.contains(path)) {
                let record = Record::Ended { path: path.to_owned(), end: ended.end.clone(), time_us: ended.time_us };
                kept.push((ended.number, record));
            }
        }
        kept.sort_unstable_by_key(|(number, _)| *number);
        let mut records = self.with_own_references(kept.into_iter().map(|(_, record)| record))?;
        if !self.state.reentered().is_empty() {
            let reentered = self.state.reentered().iter().map(|(path, generation)| (path.clone(), *generation));
            let time_us = self.state.time_us(at);
            let rewound = Rewound { time_us, reentered: reentered.collect(), ..Rewound::default() };
            records.push(Record::Rewound(Box::new(rewound)));
        }
        Ok(records)
    }

    /// The same records, with references to nothing but each other.
    fn with_own_references(&self, records: impl Iterator<Item = Record>) -> Result<Vec<Record>, RewindError> {
        let mut known = Known::default();
        let own = |record| match record {
            Record::Ended { path, end, time_us } => {
                let end = self.copied(&mut known, &path, &end)?;
                Ok(Record::Ended { path, end, time_us })
            }
            other => Ok(other),
        };
        records.map(own).collect()
    }

    /// Whether the records of a step still count, and go on to.
    fn stays(&self, path: &str) -> bool {
        let counts = path.parse().is_ok_and(|path: StepPath| self.first.contains_key(&path));
        counts && !self.again.leaves.contains_key(path)
    }

    /// How a step ended, with references to what a new run has too.
    fn copied(&self, known: &mut Known, path: &str, end: &End) -> Result<End, RewindError> {
        let End::Completed { output, changes } = end else { return Ok(end.clone()) };
        let damaged =
            |at: String| RewindError::Damaged(format!("{path} refers to the output of {at}, which is not there"));
        let value = self.state.known.value(output).map_err(damaged)?;
        let state_changes = self.state.known.changes(path, changes).map_err(damaged)?;
        let is_whole = matches!(output, Kept::Value(_)) && changes.iter().all(KeptChange::is_whole);
        let output = Output { value, state_changes };
        let end = if is_whole { end.clone() } else { known.keep(Some(path), &output, true) };
        known.add(path, &output);
        Ok(end)
    }
}

/// A choice for a new run: its messages are counted anew, so that none is taken for one that the old run had, and what
/// the old run did is not the new one's to undo.
fn of_its_own(decision: Decision) -> Decision {
    match decision {
        Decision::Received(attempt, Received::Signal(mut signal)) => {
            Arc::make_mut(&mut signal).number = 0;
            Decision::Received(attempt, Received::Signal(signal))
        }
        Decision::Compensable(_) => Decision::Compensable(Compensable::Never),
        other => other,
    }
}
