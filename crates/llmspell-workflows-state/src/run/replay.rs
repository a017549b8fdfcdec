use std::collections::HashMap;

use llmspell_workflows_basic::engine::{Decision, Outcome, Output};

use crate::record::{End, Known, Record, Started};

/// What is known of a run that goes on.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) started: Option<Started>,
    pub(super) has_ended: bool,
    pub(super) known: Known,
    ends: HashMap<String, End>,
    decisions: HashMap<(String, &'static str, u64), Decision>,
    /// How often each leaf has begun without an end.
    begun: HashMap<String, u32>,
}

impl Replay {
    /// Reads the records of a run; `Err` says what makes no sense.
    pub(super) fn read(records: Vec<Record>) -> Result<Self, String> {
        let mut replay = Self::default();
        for record in records {
            replay.take_in(record)?;
        }
        Ok(replay)
    }

    fn take_in(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Started(started) => match &self.started {
                None => self.started = Some(*started),
                Some(_) => return Err("it was started twice".to_owned()),
            },
            Record::Began { path } => *self.begun.entry(path).or_default() += 1,
            Record::Stopped { path } => {
                if let Some(begun) = self.begun.get_mut(&path) {
                    *begun = begun.saturating_sub(1);
                }
            }
            Record::Decided { path, index, decision } => {
                let key = (path, decision.kind(), index);
                if self.decisions.contains_key(&key) {
                    return Err(format!("the choice `{}` number {index} of {} was made twice", key.1, key.0));
                }
                self.decisions.insert(key, decision);
            }
            Record::Ended { path, end } => {
                if self.ends.contains_key(&path) {
                    return Err(format!("{path} ended twice"));
                }
                if let Outcome::Completed(output) = self.outcome(&end)? {
                    self.known.add(&path, &output.value);
                }
                self.ends.insert(path, end);
            }
            Record::Closed { .. } => self.has_ended = true,
        }
        Ok(())
    }

    /// What was kept, as it was.
    pub(super) fn outcome(&self, end: &End) -> Result<Outcome, String> {
        let missing = |path: String| format!("it refers to the output of {path}, which is not there");
        Ok(match end {
            End::Completed { output, changes } => Outcome::Completed(Output {
                value: self.known.value(output).map_err(missing)?,
                state_changes: self.known.changes(changes).map_err(missing)?,
            }),
            End::Skipped(reason) => Outcome::Skipped(reason.clone()),
            End::Failed(failure) => Outcome::Failed(failure.clone()),
            End::Cancelled(cancelled) => Outcome::Cancelled(cancelled.clone()),
        })
    }

    /// How the step at `path` ended.
    pub(super) fn end(&self, path: &str) -> Option<&End> {
        self.ends.get(path)
    }

    pub(super) fn decided(&self, path: &str, index: u64, kind: &'static str) -> Option<Decision> {
        if self.decisions.is_empty() {
            return None;
        }
        self.decisions.get(&(path.to_owned(), kind, index)).cloned()
    }

    pub(super) fn cuts(&self, path: &str) -> u32 {
        self.begun.get(path).copied().unwrap_or(0)
    }

    /// All paths that something is recorded at.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let decided = self.decisions.keys().map(|(path, ..)| path.as_str());
        self.ends.keys().chain(self.begun.keys()).map(String::as_str).chain(decided)
    }
}
