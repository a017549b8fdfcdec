//! What each record does to a run: the one place that says so.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use llmspell_workflows_basic::{
    StepPath,
    engine::{Asker, Decision, Output, Received},
};
use serde_json::Value;

use super::{
    query::missing,
    step::{Decided, Ended, StepState},
};
use crate::record::{
    ChoiceAt, End, Known, Migrated, Record, Redefined, Request, Resumption, Rewound, Started, Suspension,
};

/// That a record cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {number}{}: {reason}", path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default())]
pub struct IllegalRecord {
    /// The number of the record in its run, from 0.
    pub number: u64,
    /// The step it is about, if any.
    pub path: Option<String>,
    /// Why it cannot follow.
    pub reason: String,
}

impl IllegalRecord {
    /// The stable code, which has a page.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "journal_failed"
    }
}

/// How far a run has come as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Phase {
    /// It was not started.
    #[default]
    Unstarted,
    /// A process goes on with it, or did when it died.
    Driven(Option<Resumption>),
    /// It left its process without having ended.
    Suspended(Suspension),
    /// It ended.
    Closed(Closed),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// How.
    pub end: End,
    /// When, in microseconds since it was started.
    pub time_us: u64,
    /// Whether it has undone what it did.
    pub compensated: bool,
}

/// What the records of a run come to.
///
/// [`Self::apply`] is the one place that knows what each record does, and after which others it may stand. Everything
/// that reads records is a view of this.
#[derive(Debug, Default)]
pub struct RunState {
    pub(super) started: Option<Started>,
    pub(super) phase: Phase,
    /// How many records there are.
    pub(super) count: u64,
    pub(super) ends: u64,
    pub(super) steps: HashMap<String, StepState>,
    pub(super) known: Known,
    /// Steps that are entered as another generation than these paths say.
    pub(super) reentered: BTreeMap<String, u32>,
    /// The inputs of activities that get another one than their parameters make.
    pub(super) inputs: BTreeMap<String, Arc<Value>>,
    /// The signals that steps have taken.
    pub(super) received: Vec<u64>,
    pub(super) definitions: Vec<String>,
    pub(super) asked: Vec<(Request, Asker)>,
}

/// What a record is about, for views that follow the records one by one.
#[derive(Debug)]
pub(super) enum About<'r> {
    /// The run as a whole.
    Run,
    /// A step, at a time after the start.
    Step(&'r str, u64),
    /// Steps that happen again as other generations: where they were before.
    Rewound(Vec<String>),
}

impl RunState {
    /// Reads the records of a run.
    ///
    /// # Errors
    /// The first of them that cannot follow those before it.
    pub fn read(records: &[Record]) -> Result<Self, IllegalRecord> {
        let mut state = Self::default();
        records.iter().try_for_each(|record| state.apply(record))?;
        Ok(state)
    }

    /// Reads the records of a run as far as they make sense.
    #[must_use]
    pub fn read_as_far(records: &[Record]) -> (Self, Option<IllegalRecord>) {
        let mut state = Self::default();
        let illegal = records.iter().try_for_each(|record| state.apply(record)).err();
        (state, illegal)
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// It cannot follow those before it; nothing has changed then.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        self.follow(record).map(drop)
    }

    pub(super) fn follow<'r>(&mut self, record: &'r Record) -> Result<About<'r>, IllegalRecord> {
        let about = self.transition(record).map_err(|reason| IllegalRecord {
            number: self.count,
            path: record.path().map(str::to_owned),
            reason,
        })?;
        self.count += 1;
        Ok(about)
    }

    /// The table of what may follow, and what it does; `Err` says why it may not.
    fn transition<'r>(&mut self, record: &'r Record) -> Result<About<'r>, String> {
        use Phase::{Closed as Ended, Driven, Suspended, Unstarted};
        match (&self.phase, record) {
            (Unstarted, Record::Started(started)) => {
                self.start(started);
                Ok(About::Run)
            }
            (Unstarted, other) => Err(format!("a run begins with `started`, not with `{}`", other.kind())),
            (Driven(_) | Suspended(_) | Ended(_), Record::Started(_)) => Err("the run was started twice".to_owned()),
            (Driven(_) | Suspended(_) | Ended(_), Record::Rewound(rewound)) => {
                let former: Vec<String> = rewound.reentered.iter().map(|(entry, _)| self.entered(entry)).collect();
                self.rewind(rewound, &former)?;
                Ok(About::Rewound(former))
            }
            (Ended(_), other) => Err(format!("the run had ended, and `{}` cannot follow", other.kind())),
            (Driven(_) | Suspended(_), Record::Began { path, time_us }) => {
                self.begin(path)?;
                Ok(About::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Stopped { path, time_us }) => {
                self.stop(path)?;
                Ok(About::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Stuck { path, error, time_us }) => {
                let step = self.steps.entry(path.clone()).or_default();
                if step.stuck.is_some() {
                    return Err("the step is stuck already".to_owned());
                }
                if matches!(step.end(), Some(End::Completed { .. } | End::Skipped(_))) {
                    return Err("the step has ended, and not by failing".to_owned());
                }
                (step.stuck, step.at_work) = (Some((**error).clone()), false);
                Ok(About::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Decided { path, decision, time_us }) => {
                self.decide(path, decision, *time_us)?;
                Ok(About::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Ended { path, end, time_us }) => {
                self.end_step(path, end, *time_us)?;
                Ok(About::Step(path, *time_us))
            }
            (Driven(_) | Suspended(_), Record::Warned { .. }) => Ok(About::Run),
            (Driven(_) | Suspended(_), Record::Asked { request, by, .. }) => {
                self.asked.push((*request, by.clone()));
                Ok(About::Run)
            }
            (Driven(_) | Suspended(_), Record::Suspended { why, .. }) => {
                self.phase = Suspended(why.clone());
                Ok(About::Run)
            }
            (Driven(_) | Suspended(_), Record::Resumed { why, .. }) => {
                self.phase = Driven(Some(*why));
                Ok(About::Run)
            }
            (Driven(_) | Suspended(_), Record::Redefined(redefined)) => {
                self.redefine(redefined)?;
                Ok(About::Run)
            }
            (Driven(_) | Suspended(_), Record::Closed { end, time_us, compensated }) => {
                self.outcome("", end)?;
                self.phase = Ended(Closed { end: end.clone(), time_us: *time_us, compensated: *compensated });
                Ok(About::Run)
            }
        }
    }

    fn start(&mut self, started: &Started) {
        self.inputs.clone_from(&started.inputs);
        self.definitions.push(started.definition.clone());
        self.started = Some(started.clone());
        self.phase = Phase::Driven(None);
    }

    fn begin(&mut self, path: &str) -> Result<(), String> {
        let step = self.steps.entry(path.to_owned()).or_default();
        if step.end.is_some() {
            return Err("the step has ended, and cannot begin again".to_owned());
        }
        step.begun += 1;
        (step.is_activity, step.at_work) = (true, true);
        Ok(())
    }

    fn stop(&mut self, path: &str) -> Result<(), String> {
        let step = self.steps.get_mut(path).filter(|step| step.begun > 0 && step.end.is_none());
        let step = step.ok_or("the step is stopped and is not at work")?;
        step.begun -= 1;
        step.at_work = false;
        Ok(())
    }

    fn decide(&mut self, path: &str, decision: &Decision, time_us: u64) -> Result<(), String> {
        if decision.is_withheld() {
            return Err(format!("the choice `{}` was withheld, and so cannot be recorded", decision.key()));
        }
        let key = decision.key();
        let step = self.steps.entry(path.to_owned()).or_default();
        let decided = Decided { decision: decision.clone(), number: self.count, time_us };
        if !step.decide(key.clone(), decided) {
            return Err(format!("the choice `{key}` was made twice"));
        }
        if let Decision::Received(_, Received::Signal(signal)) = decision {
            self.received.push(signal.number);
        }
        Ok(())
    }

    fn end_step(&mut self, path: &str, end: &End, time_us: u64) -> Result<(), String> {
        if self.steps.get(path).is_some_and(|step| step.end.is_some()) {
            return Err("the step ended twice".to_owned());
        }
        if let End::Completed { output, changes } = end {
            let state_changes = self.known.changes(path, changes).map_err(missing)?;
            self.known.note_changes(path, &state_changes);
            let value = self.known.value(output).map_err(missing)?;
            self.known.add(path, &Output { value, state_changes });
        }
        let step = self.steps.entry(path.to_owned()).or_default();
        step.end = Some(Ended { end: end.clone(), number: self.count, time_us, nth: self.ends });
        (step.stuck, step.at_work) = (None, false);
        self.ends += 1;
        Ok(())
    }

    fn rewind(&mut self, rewound: &Rewound, former: &[String]) -> Result<(), String> {
        self.check_undecided(&rewound.undecided)?;
        for path in &rewound.reopened {
            if let Some(step) = self.steps.get_mut(path) {
                (step.end, step.begun, step.stuck, step.at_work) = (None, 0, None, false);
            }
        }
        for path in former {
            if let Some(step) = self.steps.get_mut(path) {
                (step.stuck, step.is_superseded, step.at_work) = (None, true, false);
            }
        }
        self.undecide(&rewound.undecided);
        self.reentered.extend(rewound.reentered.iter().cloned());
        self.inputs.extend(rewound.inputs.iter().map(|(path, input)| (path.clone(), input.clone())));
        if matches!(self.phase, Phase::Closed(_)) {
            self.phase = Phase::Driven(None);
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
                return Err(format!("it migrates what {path} changed in the state, which has not completed"));
            }
        }
        self.definitions.push(definition.clone());
        let Some(started) = &mut self.started else { return Ok(()) };
        (started.definition, started.version) = (definition.clone(), version.clone());
        let Some(migrated) = migrated else { return Ok(()) };
        started.state.clone_from(&migrated.state);
        for (path, new) in &migrated.changes {
            let ended = self.steps.get_mut(path).and_then(|step| step.end.as_mut());
            if let Some(Ended { end: End::Completed { changes, .. }, .. }) = ended {
                changes.clone_from(new);
            }
        }
        self.undecide(&migrated.undecided);
        Ok(())
    }

    fn check_undecided(&self, undecided: &[ChoiceAt]) -> Result<(), String> {
        let is_unknown = |at: &&ChoiceAt| self.decision(&at.path, &at.key).is_none();
        match undecided.iter().find(is_unknown) {
            Some(at) => Err(format!("it takes back the choice `{}` of {}, which was not made", at.key, at.path)),
            None => Ok(()),
        }
    }

    fn undecide(&mut self, undecided: &[ChoiceAt]) {
        for ChoiceAt { path, key } in undecided {
            if let Some(step) = self.steps.get_mut(path) {
                step.decisions.remove(key);
            }
        }
    }

    /// Where the step is that is entered at `entry`.
    pub(super) fn entered(&self, entry: &str) -> String {
        match self.reentered.get(entry) {
            Some(generation) => generation_of(entry, *generation),
            None => entry.to_owned(),
        }
    }
}

/// Where the step is that is entered at `entry` as this generation.
pub(super) fn generation_of(entry: &str, generation: u32) -> String {
    entry.parse().map_or_else(|_| entry.to_owned(), |path: StepPath| path.with_generation(generation).to_string())
}
