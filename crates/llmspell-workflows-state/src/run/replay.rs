use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError, StepPath,
    engine::{Compensable, Decision, Outcome, Output, Received, Resume},
};
use serde_json::Value;
use uuid::Uuid;

use crate::record::{End, Known, Migrated, Record, Rewound, Started};

/// A step that has ended and can be undone: where it stands, what it was called with, how it ended.
type Undoable = (StepPath, Arc<Value>, Outcome);

/// What is known of a run that goes on.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) started: Option<Started>,
    /// How the run ended, if it has.
    pub(super) closed: Option<(End, Timestamp)>,
    pub(super) known: Known,
    ends: HashMap<String, End>,
    decisions: HashMap<(String, &'static str, u64), Decision>,
    /// How often each leaf has begun without an end.
    begun: HashMap<String, u32>,
    /// Steps that are entered as another generation than these paths say.
    reentered: HashMap<String, u32>,
    /// The inputs of activities that get another one than their parameters make.
    inputs: BTreeMap<String, Arc<Value>>,
    /// The signals that steps have taken.
    received: Vec<u64>,
    /// Steps of which somebody has to say what they did, and why.
    pub(super) stuck: BTreeMap<String, StepError>,
    /// The steps that can be undone, and the number of the record with which each ended.
    undoable: HashMap<String, Arc<Value>>,
    ended_as: HashMap<String, usize>,
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
                None => {
                    self.inputs.clone_from(&started.inputs);
                    self.started = Some(*started);
                }
                Some(_) => return Err("it was started twice".to_owned()),
            },
            Record::Began { path, .. } => *self.begun.entry(path).or_default() += 1,
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
                if let Decision::Received(Received::Signal(signal)) = &decision {
                    self.received.push(signal.number);
                }
                if let Decision::Compensable(Compensable::With(input)) = &decision {
                    self.undoable.insert(key.0.clone(), input.clone());
                }
                self.decisions.insert(key, decision);
            }
            Record::Stuck { path, error } => drop(self.stuck.insert(path, *error)),
            Record::Ended { path, end, .. } => {
                if self.ends.contains_key(&path) {
                    return Err(format!("{path} ended twice"));
                }
                if let End::Completed { output, changes } = &end {
                    let state_changes = self.known.changes(&path, changes).map_err(missing)?;
                    self.known.note_changes(&path, &state_changes);
                    let value = self.known.value(output).map_err(missing)?;
                    self.known.add(&path, &Output { value, state_changes });
                }
                self.stuck.remove(&path);
                self.ended_as.insert(path.clone(), self.ended_as.len());
                self.ends.insert(path, end);
            }
            Record::Rewound(rewound) => self.rewind(*rewound),
            Record::Redefined { definition, version, migrated, .. } => {
                self.redefine(&definition, &version, migrated.map(|migrated| *migrated));
            }
            Record::Closed { end, at, .. } => self.closed = Some((end, at)),
        }
        Ok(())
    }

    pub(super) fn redefine(&mut self, definition: &str, version: &str, migrated: Option<Migrated>) {
        if let Some(started) = &mut self.started {
            started.redefine(definition, version, migrated.as_ref());
        }
        let Some(migrated) = migrated else { return };
        for (path, new) in migrated.changes {
            if let Some(End::Completed { changes, .. }) = self.ends.get_mut(&path) {
                *changes = new;
            }
        }
        self.undecide(&migrated.undecided);
    }

    fn undecide(&mut self, undecided: &[(String, String, u64)]) {
        let undecided: HashSet<_> = undecided.iter().map(|(path, kind, index)| (&**path, &**kind, *index)).collect();
        self.decisions.retain(|(path, kind, index), _| !undecided.contains(&(&**path, *kind, *index)));
    }

    pub(super) fn rewind(&mut self, rewound: Rewound) {
        let Rewound { at: _, reopened, undecided, reentered, inputs } = rewound;
        self.closed = None;
        for path in reopened {
            self.ends.remove(&path);
            self.begun.remove(&path);
            self.stuck.remove(&path);
        }
        for (entry, _) in &reentered {
            let before = self.reentered.get(entry).map_or_else(|| entry.clone(), |before| entered(entry, *before));
            self.stuck.remove(&before);
        }
        self.undecide(&undecided);
        self.reentered.extend(reentered);
        self.inputs.extend(inputs);
    }

    /// How `run` goes on; `None`: it was never started.
    pub(super) fn resume(&self, run: Uuid) -> Option<Resume> {
        let started = self.started.as_ref()?;
        let paths: Vec<StepPath> = self.paths().filter_map(|path| path.parse().ok()).collect();
        let resume = Resume::new(run, started.at).with_state(started.state.clone());
        let resume = resume.with_recorded(&paths).with_received(self.received.iter().copied());
        let resume = resume.with_reentered(self.reentered.iter().map(|(path, generation)| (path.clone(), *generation)));
        let mut undoable: Vec<_> =
            self.undoable.iter().filter_map(|(path, input)| self.undoable(path, input)).collect();
        undoable.sort_by_key(|(number, _)| *number);
        let undo_of = |path: &StepPath| {
            let entry = format!("{path}/$undo");
            self.reentered.get(&entry).map_or_else(|| entry.clone(), |generation| entered(&entry, *generation))
        };
        let undone = |path: &StepPath| match self.ends.get(&undo_of(path))? {
            End::Completed { .. } => Some((path.clone(), true)),
            End::Skipped(_) => Some((path.clone(), false)),
            _ => None,
        };
        let undone: Vec<(StepPath, bool)> = undoable.iter().filter_map(|(_, (path, ..))| undone(path)).collect();
        let resume = resume.with_undoable(undoable.into_iter().map(|(_, step)| step)).with_undone(undone);
        Some(resume.with_inputs(self.inputs.iter().map(|(path, input)| (path.clone(), input.clone()))))
    }

    /// A step that has ended and can be undone, with the number of its end.
    fn undoable(&self, path: &str, input: &Arc<Value>) -> Option<(usize, Undoable)> {
        let outcome = self.outcome(path, self.ends.get(path)?).ok()?;
        Some((*self.ended_as.get(path)?, (path.parse().ok()?, input.clone(), outcome)))
    }

    /// What was kept of the step at `path`, as it was.
    pub(super) fn outcome(&self, path: &str, end: &End) -> Result<Outcome, String> {
        Ok(match end {
            End::Completed { output, changes } => Outcome::Completed(Output {
                value: self.known.value(output).map_err(missing)?,
                state_changes: self.known.changes(path, changes).map_err(missing)?,
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

fn missing(path: String) -> String {
    format!("it refers to the output of {path}, which is not there")
}

/// Where the step is that is entered at `entry` as this generation.
fn entered(entry: &str, generation: u32) -> String {
    entry.parse().map_or_else(|_| entry.to_owned(), |path: StepPath| path.with_generation(generation).to_string())
}
