//! The effect of each record on a run. Only this module defines these effects.

use std::{collections::BTreeMap, sync::Arc};

use foldhash::{HashMap, HashSet};
use llmspell_workflows_basic::{
    StepPath,
    engine::{Asker, Decision, Output, Received, Who, output_bytes},
    secrets::MaskNote,
};
use serde_json::Value;

use super::{
    query::missing,
    step::{RecordedChoice, StepEnd, StepState},
};
use crate::record::{
    ChoiceRef, End, KnownValues, Migrated, Record, Redefined, Request, Resumption, Rewound, Started, Suspension,
};

/// A record that cannot follow the records before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {number}{}: {reason}", path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default())]
pub struct IllegalRecord {
    /// The number of the record in its run, from 0.
    pub number: u64,
    /// The path of the record's step, if any.
    pub path: Option<String>,
    /// Why the record is illegal.
    pub reason: String,
}

impl IllegalRecord {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "journal_failed"
    }
}

/// The phase of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Phase {
    /// The run has not been started.
    #[default]
    Unstarted,
    /// A process drives the run, or drove it until the process died.
    Driven(Option<Resumption>),
    /// The process stopped driving the run before the run ended.
    Suspended(Suspension),
    /// The run ended.
    Closed(RunEnd),
}

/// The recorded end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// How the run ended.
    pub end: End,
    /// The time from the start of the run, in microseconds.
    pub time_us: u64,
    /// Whether the run was compensated.
    pub compensated: bool,
}

/// The state of a run, according to its records.
///
/// [`Self::apply`] alone defines what each record does and which records it may follow. All other views of a run's
/// records are derived from this state.
#[derive(Debug, Default)]
pub struct RunState {
    pub(super) started: Option<Started>,
    pub(super) phase: Phase,
    /// The number of records.
    pub(super) count: u64,
    /// The latest time of a record, in microseconds since the start of the run.
    pub(super) latest_us: u64,
    /// How far the run's clock was ahead of its last process's clock, in microseconds.
    pub(super) ahead_us: u64,
    pub(super) ends: u64,
    pub(super) steps: HashMap<String, StepState>,
    pub(super) known: KnownValues,
    /// Steps entered under a generation different from the one in their path.
    pub(super) reentered: BTreeMap<String, u32>,
    /// Activity inputs that replace the evaluated parameters.
    pub(super) inputs: BTreeMap<String, Arc<Value>>,
    /// The numbers of the signals that steps have received.
    pub(super) received: Vec<u64>,
    /// The child runs of all steps, even of steps that have been repeated since.
    pub(super) all_children: HashSet<uuid::Uuid>,
    /// The received signals that were sent to enclosing runs: the run and the number of each.
    pub(super) received_of_others: Vec<(uuid::Uuid, u64)>,
    /// The total size of all activity outputs, in bytes of JSON.
    pub(super) output_bytes: u64,
    pub(super) definitions: Vec<String>,
    pub(super) asked: Vec<(Request, Asker)>,
    /// Whether the records may be outlines; if so, outputs and state changes are not tracked.
    is_outline: bool,
    /// Whether a requested cancellation also compensates the steps; `None` if no cancellation is
    /// requested. A retry revokes the request.
    pub(super) cancel: Option<bool>,
    /// The number of the last message to the run before it was retried; cancel requests up to
    /// this message no longer count.
    pub(super) settled_messages: u64,
}

/// The subject of a record, for views that process records one by one.
#[derive(Debug)]
pub(super) enum Subject<'r> {
    /// The run as a whole.
    Run,
    /// A step, and the time since the start of the run in microseconds.
    Step(&'r str, u64),
    /// The former paths of steps that run again as new generations.
    Rewound(Vec<String>),
}

impl RunState {
    /// Reads the records of a run.
    ///
    /// # Errors
    /// Returns an error that describes the first record that cannot follow the records before it.
    pub fn read(records: &[Record]) -> Result<Self, IllegalRecord> {
        let mut state = Self::default();
        records.iter().try_for_each(|record| state.apply(record))?;
        Ok(state)
    }

    /// Reads the records of a run, or their [outlines](Record::outline), up to the first illegal
    /// one. The state then lacks the run's outputs and state changes.
    #[must_use]
    pub fn read_outline(records: &[Record]) -> Self {
        let mut state = Self { is_outline: true, ..Self::default() };
        // The records before an illegal one are enough to describe the run.
        let _ = records.iter().try_for_each(|record| state.apply(record));
        state
    }

    /// Reads the records of a run up to the first illegal record, and also returns that record.
    #[must_use]
    pub fn read_as_far(records: &[Record]) -> (Self, Option<IllegalRecord>) {
        let mut state = Self::default();
        let illegal = records.iter().try_for_each(|record| state.apply(record)).err();
        (state, illegal)
    }

    /// Applies the next record.
    ///
    /// # Errors
    /// Returns an error if the record cannot follow earlier records. The state is then unchanged.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        self.apply_next(record).map(drop)
    }

    pub(super) fn apply_next<'r>(&mut self, record: &'r Record) -> Result<Subject<'r>, IllegalRecord> {
        let subject = self.transition(record).map_err(|reason| IllegalRecord {
            number: self.count,
            path: record.path().map(str::to_owned),
            reason,
        })?;
        self.count += 1;
        self.latest_us = self.latest_us.max(record.time_us());
        Ok(subject)
    }

    /// Applies the effects of a record; an error says why the record is illegal. This function
    /// defines all legal records and their effects.
    fn transition<'r>(&mut self, record: &'r Record) -> Result<Subject<'r>, String> {
        use Phase::{Closed, Driven, Suspended, Unstarted};
        match (&self.phase, record) {
            (Unstarted, Record::Started(started)) => {
                self.start(started);
                Ok(Subject::Run)
            }
            (Unstarted, other) => Err(format!("the first record must be `started`, got `{}`", other.kind())),
            (Driven(_) | Suspended(_) | Closed(_), Record::Started(_)) => Err("the run was started twice".to_owned()),
            (Driven(_) | Suspended(_) | Closed(_), Record::Rewound(rewound)) => {
                let former: Vec<String> = rewound.reentered.iter().map(|(entry, _)| self.entered(entry)).collect();
                self.rewind(rewound, &former)?;
                Ok(Subject::Rewound(former))
            }
            (Closed(_), other) => Err(format!("`{}` cannot follow the end of the run", other.kind())),
            (Driven(_) | Suspended(_), Record::Began { path, time_us }) => {
                self.begin(path)?;
                Ok(Subject::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Stopped { path, time_us }) => {
                self.stop(path)?;
                Ok(Subject::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Stuck { path, error, time_us }) => {
                let step = self.steps.entry(path.clone()).or_default();
                if step.stuck.is_some() {
                    return Err("the step is already stuck".to_owned());
                }
                if matches!(step.end(), Some(End::Completed { .. } | End::Skipped(_))) {
                    return Err("the step has already ended without failing".to_owned());
                }
                (step.stuck, step.is_executing) = (Some((**error).clone()), false);
                Ok(Subject::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Decided { path, decision, masks, time_us }) => {
                self.decide(path, decision, masks, *time_us)?;
                Ok(Subject::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Ended { path, end, time_us }) => {
                self.end_step(path, end, *time_us)?;
                Ok(Subject::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Warned { .. }) => Ok(Subject::Run),
            (Driven(_) | Suspended(_), Record::Asked { request, by, .. }) => {
                self.ask(*request, by);
                Ok(Subject::Run)
            }
            (Driven(_) | Suspended(_), Record::Suspended { why, .. }) => {
                self.phase = Suspended(why.clone());
                Ok(Subject::Run)
            }
            (Driven(_) | Suspended(_), Record::Resumed { why, ahead_us, .. }) => {
                (self.phase, self.ahead_us) = (Driven(Some(*why)), *ahead_us);
                Ok(Subject::Run)
            }
            (Driven(_) | Suspended(_), Record::Redefined(redefined)) => {
                self.redefine(redefined)?;
                Ok(Subject::Run)
            }
            (Driven(_) | Suspended(_), Record::Closed { end, time_us, compensated }) => {
                if !self.is_outline {
                    self.outcome("", end)?;
                }
                self.phase = Closed(RunEnd { end: end.clone(), time_us: *time_us, compensated: *compensated });
                Ok(Subject::Run)
            }
        }
    }

    fn start(&mut self, started: &Started) {
        self.inputs.clone_from(&started.inputs);
        self.definitions.push(started.definition.clone());
        self.started = Some(started.clone());
        self.phase = Phase::Driven(None);
    }

    fn ask(&mut self, request: Request, by: &Asker) {
        let compensates = match request {
            // The parent run repeats its request if it still applies.
            _ if by.who == Who::Parent => None,
            Request::Cancel => Some(false),
            Request::CancelAndCompensate => Some(true),
            Request::Pause => None,
        };
        self.cancel = self.cancel.max(compensates);
        self.asked.push((request, by.clone()));
    }

    fn begin(&mut self, path: &str) -> Result<(), String> {
        let step = self.steps.entry(path.to_owned()).or_default();
        if step.end.is_some() {
            return Err("the step has already ended, so it cannot begin".to_owned());
        }
        step.cuts += u32::from(step.is_executing);
        (step.is_activity, step.is_executing) = (true, true);
        Ok(())
    }

    fn stop(&mut self, path: &str) -> Result<(), String> {
        let step = self.steps.get_mut(path).filter(|step| step.is_activity && step.end.is_none());
        let step = step.ok_or("the step is not executing, so it cannot be stopped")?;
        step.is_executing = false;
        Ok(())
    }

    fn decide(&mut self, path: &str, decision: &Decision, masks: &[MaskNote], time_us: u64) -> Result<(), String> {
        if decision.is_withheld() {
            return Err(format!("the choice `{}` was withheld, so it cannot be recorded", decision.key()));
        }
        let key = decision.key();
        let step = self.steps.entry(path.to_owned()).or_default();
        let decided = RecordedChoice { decision: decision.clone(), masks: masks.to_vec(), number: self.count, time_us };
        if !step.decide(key.clone(), decided) {
            return Err(format!("the choice `{key}` was made twice"));
        }
        if let Decision::Child(_, child) = decision {
            self.all_children.insert(child.run);
        }
        if let Decision::Received(_, Received::Signal(signal)) = decision {
            match signal.sent_to {
                None => self.received.push(signal.number),
                Some(run) => self.received_of_others.push((run, signal.number)),
            }
        }
        Ok(())
    }

    fn end_step(&mut self, path: &str, end: &End, time_us: u64) -> Result<(), String> {
        if self.steps.get(path).is_some_and(|step| step.end.is_some()) {
            return Err("the step ended twice".to_owned());
        }
        if !self.is_outline {
            self.known.keep_masked(end);
        }
        if let End::Completed { output, changes } = end
            && !self.is_outline
        {
            let state_changes = self.known.changes(path, changes).map_err(missing)?;
            self.known.note_changes(path, &state_changes);
            let value = self.known.value(output).map_err(missing)?;
            // All other outputs consist of outputs of other steps.
            if self.steps.get(path).is_some_and(|step| step.is_activity) {
                self.output_bytes += output_bytes(&value.read()) as u64;
            }
            self.known.add(path, &Output { value, state_changes });
        }
        let step = self.steps.entry(path.to_owned()).or_default();
        step.end = Some(StepEnd { end: end.clone(), number: self.count, time_us, nth: self.ends });
        let was_stuck = step.stuck.take().is_some();
        step.is_executing = false;
        self.ends += 1;
        if was_stuck {
            // The step was resolved manually, so the run can continue.
            self.phase = Phase::Driven(None);
        }
        Ok(())
    }

    fn rewind(&mut self, rewound: &Rewound, former: &[String]) -> Result<(), String> {
        self.check_undecided(&rewound.undecided)?;
        for path in &rewound.reopened {
            if let Some(step) = self.steps.get_mut(path) {
                (step.end, step.cuts, step.stuck, step.is_executing) = (None, 0, None, false);
            }
        }
        for path in former {
            if let Some(step) = self.steps.get_mut(path) {
                (step.stuck, step.is_superseded, step.is_executing) = (None, true, false);
            }
        }
        self.undecide(&rewound.undecided);
        self.reentered.extend(rewound.reentered.iter().cloned());
        self.inputs.extend(rewound.inputs.iter().map(|(path, input)| (path.clone(), input.clone())));
        let was_closed = matches!(self.phase, Phase::Closed(_));
        self.phase = Phase::Driven(None);
        if was_closed {
            self.cancel = None;
            let asked = self.asked.iter().filter_map(|(_, by)| by.message).max();
            self.settled_messages = rewound.settled_messages.max(asked.unwrap_or(0));
        }
        Ok(())
    }

    fn redefine(&mut self, redefined: &Redefined) -> Result<(), String> {
        let Redefined { definition, version, migrated, .. } = redefined;
        if let Some(Migrated { undecided, changes, .. }) = migrated {
            self.check_undecided(undecided)?;
            let has_completed = |path: &str| {
                let step = self.steps.get(path);
                step.is_some_and(|step| matches!(step.end(), Some(End::Completed { .. })))
            };
            if let Some(path) = changes.keys().find(|path| !has_completed(path)) {
                return Err(format!("it migrates the state changes of {path}, which has not completed"));
            }
        }
        self.definitions.push(definition.clone());
        let Some(started) = &mut self.started else { return Ok(()) };
        (started.definition, started.version) = (definition.clone(), version.clone());
        let Some(migrated) = migrated else { return Ok(()) };
        started.state.clone_from(&migrated.state);
        for (path, new) in &migrated.changes {
            let ended = self.steps.get_mut(path).and_then(|step| step.end.as_mut());
            if let Some(StepEnd { end: End::Completed { changes, .. }, .. }) = ended {
                changes.clone_from(new);
            }
        }
        self.undecide(&migrated.undecided);
        Ok(())
    }

    fn check_undecided(&self, undecided: &[ChoiceRef]) -> Result<(), String> {
        let is_unknown = |at: &&ChoiceRef| self.decision(&at.path, &at.key).is_none();
        match undecided.iter().find(is_unknown) {
            Some(at) => Err(format!("it revokes the choice `{}` of {}, which was never made", at.key, at.path)),
            None => Ok(()),
        }
    }

    fn undecide(&mut self, undecided: &[ChoiceRef]) {
        for ChoiceRef { path, key } in undecided {
            if let Some(step) = self.steps.get_mut(path) {
                step.decisions.remove(key);
            }
        }
    }
}

/// Returns the path of the step entered at `entry` under this generation.
pub(super) fn generation_of(entry: &str, generation: u32) -> String {
    entry.parse().map_or_else(|_| entry.to_owned(), |path: StepPath| path.with_generation(generation).to_string())
}
