use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError, StepPath,
    engine::{Attempt, Awaited, Decision, Outcome, SkipReason, StepStatus},
};
use uuid::Uuid;

use super::replay::Replay;
use crate::record::{Migrated, Record, Started};

/// What a journal tells of a run, whether it has ended or not.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// What it was started with.
    pub started: Started,
    /// The steps that began, in that order.
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
    /// How long after the start of the run it began, as far as that is known: when the first leaf in it did.
    pub began: Option<Duration>,
    /// How long after the start of the run it ended.
    pub ended: Option<Duration>,
    /// How it ended; `None`: it was at work when the journal was read, or when its process died.
    pub outcome: Option<Outcome>,
    /// What it waits for, if it does.
    pub waits: Option<Awaited>,
    /// Why somebody has to say what it did, if so.
    pub stuck: Option<StepError>,
    /// The run that it is, if it is one.
    pub child: Option<Uuid>,
}

impl PastStep {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            attempts: 1,
            began: None,
            ended: None,
            outcome: None,
            waits: None,
            stuck: None,
            child: None,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> StepStatus {
        match &self.outcome {
            _ if self.stuck.is_some() => StepStatus::Stuck,
            None if self.waits.is_some() => StepStatus::Waiting,
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
        let mut past = Past { steps: Vec::new(), numbers: HashMap::new() };
        let mut end = None;
        for record in records {
            match record {
                Record::Closed { end: how, at, .. } => end = Some((replay.outcome("", how)?, *at)),
                Record::Rewound(rewound) => {
                    end = None;
                    rewound.reopened.iter().for_each(|path| past.reopen(path));
                    rewound.reentered.iter().for_each(|(entry, generation)| past.reenter(entry, *generation));
                }
                Record::Redefined { migrated: Some(migrated), .. } => past.migrate(migrated, &replay)?,
                _ => past.take_in(record, &replay)?,
            }
        }
        Ok(Some(Self { started, steps: past.steps, end }))
    }
}

/// The steps so far, and where each of them is.
struct Past {
    steps: Vec<PastStep>,
    numbers: HashMap<String, usize>,
}

impl Past {
    fn step(&mut self, path: &str) -> &mut PastStep {
        let number = *self.numbers.entry(path.to_owned()).or_insert_with(|| {
            self.steps.push(PastStep::new(path));
            self.steps.len() - 1
        });
        &mut self.steps[number]
    }

    fn reopen(&mut self, path: &str) {
        if let Some(number) = self.numbers.get(path) {
            self.steps[*number].outcome = None;
            self.steps[*number].stuck = None;
        }
    }

    /// Nobody has to say any more what the former generations of a step did.
    fn reenter(&mut self, entry: &str, generation: u32) {
        let Ok(entry) = entry.parse::<StepPath>() else { return };
        for former in 1..generation {
            if let Some(number) = self.numbers.get(&entry.with_generation(former).to_string()) {
                self.steps[*number].stuck = None;
            }
        }
    }

    /// The steps change the state in another way since.
    fn migrate(&mut self, migrated: &Migrated, replay: &Replay) -> Result<(), String> {
        for (path, changes) in &migrated.changes {
            let step = self.numbers.get(path).map(|number| &mut self.steps[*number]);
            if let Some(Outcome::Completed(output)) = step.and_then(|step| step.outcome.as_mut()) {
                output.state_changes = replay.known.changes(path, changes)?;
            }
        }
        Ok(())
    }

    fn take_in(&mut self, record: &Record, replay: &Replay) -> Result<(), String> {
        match record {
            Record::Began { path, time_us } => self.began(path, Duration::from_micros(*time_us)),
            Record::Ended { path, end, time_us } => {
                let (at, outcome) = (Duration::from_micros(*time_us), replay.outcome(path, end)?);
                self.began(path, at);
                let step = self.step(path);
                (step.ended, step.outcome, step.waits, step.stuck) = (Some(at), Some(outcome), None, None);
            }
            Record::Stuck { path, error } => self.step(path).stuck = Some((**error).clone()),
            Record::Decided { path, decision, .. } => self.decided(path, decision, replay),
            _ => {}
        }
        Ok(())
    }

    /// A step has begun by then, and so has everything around it.
    fn began(&mut self, path: &str, at: Duration) {
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let step = self.step(&path[..end]);
            step.began = Some(step.began.map_or(at, |before| before.min(at)));
            // An iteration stands where its loop does.
            let of_loop = path[..end].strip_suffix(']').and_then(|path| path.rsplit_once('[')).map(|(path, _)| path);
            if let Some(number) = of_loop.and_then(|path| self.numbers.get(path)) {
                self.steps[*number].began.get_or_insert(at);
            }
        }
    }

    fn decided(&mut self, path: &str, decision: &Decision, replay: &Replay) {
        // Blocks are recorded when they end, and stand where they began.
        self.step(path);
        match decision {
            Decision::Enter(Some(reason)) => self.step(path).outcome = Some(Outcome::Skipped(reason.clone())),
            Decision::Attempt(Attempt::Failed { wake_at, .. }) => {
                let step = self.step(path);
                step.attempts += 1;
                let since = step.waits.as_ref().map_or(*wake_at, |waits| waits.since);
                step.waits = Some(Awaited { signal: None, since, until: Some(*wake_at) });
            }
            Decision::Awaits(awaited) => {
                let started = replay.started.as_ref().map_or(awaited.since, |started| started.at);
                let began = awaited.since.duration_since(started).try_into().unwrap_or_default();
                self.began(path, began);
                self.step(path).waits = Some(awaited.clone());
            }
            Decision::Child(child) => self.step(path).child = Some(child.run),
            Decision::Received(_) => self.step(path).waits = None,
            _ => {}
        }
    }
}
