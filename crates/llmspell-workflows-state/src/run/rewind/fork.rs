//! Collects the records that a fork takes from the original run.

use std::sync::Arc;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepPath,
    engine::{Compensable, Decision, DecisionKey, Output, Received},
};

use super::{RewindError, Rewinding};
use crate::record::{ChoiceRef, End, KnownValues, MaskedValue, Record, Rewound, StoredChange, StoredValue};

impl Rewinding<'_> {
    /// Returns the records that a fork from this point shares with the original run, except the first record.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent.
    pub fn fork_records(&self, at: Timestamp) -> Result<Vec<Record>, RewindError> {
        let mut kept = Vec::new();
        for (path, step) in self.state.steps().filter(|(path, _)| self.is_retained(path)) {
            // The original run still owns its sub-workflows: the new run neither undoes nor removes them.
            let own = step.decisions.iter().filter(|(key, _)| !matches!(key, DecisionKey::Child(_)));
            for (key, decided) in own {
                if !self.again.undecided.contains(&ChoiceRef { path: path.to_owned(), key: key.clone() }) {
                    let decision = for_new_run(decided.decision.clone());
                    let is_same = decision == decided.decision;
                    let masks = if is_same { decided.masks.clone() } else { Vec::new() };
                    let record = Record::Decided { path: path.to_owned(), decision, masks, time_us: decided.time_us };
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

    /// Rewrites references so that the records refer only to each other.
    fn with_own_references(&self, records: impl Iterator<Item = Record>) -> Result<Vec<Record>, RewindError> {
        let mut known = KnownValues::default();
        let own = |record| match record {
            Record::Ended { path, end, time_us } => {
                let end = self.copied_end(&mut known, &path, &end)?;
                Ok(Record::Ended { path, end, time_us })
            }
            other => Ok(other),
        };
        records.map(own).collect()
    }

    /// Returns whether a step's records are valid and remain valid after the rewind.
    fn is_retained(&self, path: &str) -> bool {
        let counts = path.parse().is_ok_and(|path: StepPath| self.first.contains_key(&path));
        counts && !self.again.leaves.contains_key(path)
    }

    /// Returns how a step ended, with references only to records that the new run also has.
    fn copied_end(&self, known: &mut KnownValues, path: &str, end: &End) -> Result<End, RewindError> {
        let End::Completed { output, changes } = end else { return Ok(end.clone()) };
        let damaged =
            |at: String| RewindError::Damaged(format!("{path} refers to the output of {at}, which does not exist"));
        let value = self.state.known.value(output).map_err(damaged)?;
        let state_changes = self.state.known.changes(path, changes).map_err(damaged)?;
        let is_whole = output.is_whole() && changes.iter().all(StoredChange::is_whole);
        let has_masks =
            self.has_masks(output) || changes.iter().filter_map(StoredChange::value).any(|v| self.has_masks(v));
        let recorded = Output { value, state_changes };
        let end = if is_whole {
            end.clone()
        } else if has_masks {
            // Notes about masks are copied together with their values.
            let output = self.copied_value(known, path, output)?;
            let changes = changes.iter().map(|change| self.copied_change(known, path, change));
            End::Completed { output, changes: changes.collect::<Result<_, _>>()? }
        } else {
            known.store(Some(path), &recorded, true)
        };
        known.add(path, &recorded);
        Ok(end)
    }

    /// Returns whether a recorded value, or an output that it refers to, contains masked secrets.
    fn has_masks(&self, stored: &StoredValue) -> bool {
        match stored {
            StoredValue::Masked(_) => true,
            StoredValue::OutputOf(path) => self.recorded_output(path).is_some_and(|output| self.has_masks(output)),
            StoredValue::Object(fields) => fields.iter().any(|(_, part)| self.has_masks(part)),
            StoredValue::List(items) => items.iter().any(|part| self.has_masks(part)),
            StoredValue::Value(_) | StoredValue::Changed(_) | StoredValue::Apart(_) => false,
        }
    }

    fn recorded_output(&self, path: &str) -> Option<&StoredValue> {
        match self.state.end(path)? {
            End::Completed { output, .. } => Some(output),
            _ => None,
        }
    }

    /// Returns a recorded value, with references to steps missing from the new run replaced by
    /// those steps' outputs.
    fn copied_value(&self, known: &KnownValues, path: &str, stored: &StoredValue) -> Result<StoredValue, RewindError> {
        let lost = |at: &str| RewindError::Damaged(format!("{path} refers to {at}, which the new run does not have"));
        Ok(match stored {
            StoredValue::OutputOf(at) if !known.has_output(at) => {
                self.copied_value(known, path, self.recorded_output(at).ok_or_else(|| lost(at))?)?
            }
            StoredValue::Changed(at) if !known.has_change(at) && at.0 != path => return Err(lost(&at.0)),
            StoredValue::Object(fields) => {
                let field =
                    |(name, part): &(String, StoredValue)| Ok((name.clone(), self.copied_value(known, path, part)?));
                StoredValue::Object(fields.iter().map(field).collect::<Result<_, RewindError>>()?)
            }
            StoredValue::Masked(masked) if !masked.value.is_whole() => {
                let value = self.copied_value(known, path, &masked.value)?;
                StoredValue::Masked(Box::new(MaskedValue { value, masks: masked.masks.clone() }))
            }
            StoredValue::List(items) => {
                let items = items.iter().map(|part| self.copied_value(known, path, part));
                StoredValue::List(items.collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    fn copied_change(
        &self,
        known: &KnownValues,
        path: &str,
        change: &StoredChange,
    ) -> Result<StoredChange, RewindError> {
        let mut change = change.clone();
        if let Some(at) = change.refers_to().filter(|at| !known.has_change(at)) {
            let message = format!("{path} refers to a change of {}, which the new run does not have", at.0);
            return Err(RewindError::Damaged(message));
        }
        if let Some(value) = change.value_mut() {
            *value = self.copied_value(known, path, value)?;
        }
        Ok(change)
    }
}

/// Adapts a choice for a new run.
///
/// Signals lose their numbers so that they cannot be confused with signals of the old run. The new
/// run does not compensate steps performed by the old run.
fn for_new_run(decision: Decision) -> Decision {
    match decision {
        Decision::Received(attempt, Received::Signal(mut signal)) => {
            Arc::make_mut(&mut signal).number = 0;
            Decision::Received(attempt, Received::Signal(signal))
        }
        Decision::Compensable(_) => Decision::Compensable(Compensable::Never),
        other => other,
    }
}
