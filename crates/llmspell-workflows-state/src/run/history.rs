use std::collections::HashMap;

use jiff::Timestamp;
use llmspell_workflows_basic::engine::{Attempt, Decision, Outcome, SkipReason, StepStatus};

use super::replay::Replay;
use crate::record::{Record, Started};

/// What a journal tells of a run, whether it has ended or not.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// What it was started with.
    pub started: Started,
    /// The steps that began, in that order; blocks stand where they ended.
    pub steps: Vec<PastStep>,
    /// How it ended, and when; `None`: it has not.
    pub end: Option<(Outcome, Timestamp)>,
}

/// A step of a run as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastStep {
    /// Where it stands.
    pub path: String,
    /// How many attempts it took so far.
    pub attempts: u32,
    /// How it ended; `None`: it was at work when the journal was read, or when its process died.
    pub outcome: Option<Outcome>,
}

impl PastStep {
    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> StepStatus {
        match &self.outcome {
            None => StepStatus::Running,
            Some(Outcome::Completed(_)) => StepStatus::Completed,
            Some(Outcome::Skipped(_)) => StepStatus::Skipped,
            Some(Outcome::Failed(_)) => StepStatus::Failed,
            Some(Outcome::Cancelled(_)) => StepStatus::Cancelled,
            Some(Outcome::Parked(_)) => StepStatus::Waiting,
        }
    }

    /// Why it did not run, if it did not.
    #[must_use]
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        match &self.outcome {
            Some(Outcome::Skipped(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl History {
    /// Reads the records of a run; `None`: it was never started.
    ///
    /// # Errors
    /// What is recorded makes no sense; the text says why.
    pub fn read(records: &[Record]) -> Result<Option<Self>, String> {
        let replay = Replay::read(records.to_vec())?;
        let Some(started) = replay.started.clone() else { return Ok(None) };
        let (mut steps, mut numbers) = (Vec::<PastStep>::new(), HashMap::<String, usize>::new());
        let mut end = None;
        for record in records {
            if let Record::Closed { end: how, at } = record {
                end = Some((replay.outcome(how)?, *at));
            }
            let (Some(path), Some(change)) = (record.path(), Told::by(record)) else { continue };
            let number = *numbers.entry(path.to_owned()).or_insert_with(|| {
                steps.push(PastStep { path: path.to_owned(), attempts: 1, outcome: None });
                steps.len() - 1
            });
            match change {
                Told::Begun => {}
                Told::AttemptFailed => steps[number].attempts += 1,
                Told::Skipped(reason) => steps[number].outcome = Some(Outcome::Skipped(reason.clone())),
                Told::Ended(how) => steps[number].outcome = Some(replay.outcome(how)?),
            }
        }
        Ok(Some(Self { started, steps, end }))
    }
}

/// What a record tells of its step.
enum Told<'r> {
    Begun,
    AttemptFailed,
    Skipped(&'r SkipReason),
    Ended(&'r crate::End),
}

impl<'r> Told<'r> {
    fn by(record: &'r Record) -> Option<Self> {
        match record {
            Record::Began { .. } => Some(Self::Begun),
            Record::Ended { end, .. } => Some(Self::Ended(end)),
            Record::Decided { decision: Decision::Enter(Some(reason)), .. } => Some(Self::Skipped(reason)),
            Record::Decided { decision: Decision::Attempt(Attempt::Failed { .. }), .. } => Some(Self::AttemptFailed),
            _ => None,
        }
    }
}
