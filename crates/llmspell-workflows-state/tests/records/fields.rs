//! Which fields of records are set.

use std::collections::BTreeSet;

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Awaited, Cancelled, ChildRun, Decision, Failure, Output, Received, Signal, SkipReason},
    state::Change,
};
use llmspell_workflows_state::{
    ChoiceAt, End, Migrated, Origin, Parent, Record, Redefined, Rewound, Started, Suspension,
    record::{KeptChange, KeptEdit},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The fields that values of records have, and those that were set to something.
#[derive(Default)]
pub(crate) struct Fields {
    all: BTreeSet<String>,
    set: BTreeSet<String>,
}

/// Notes all fields of a struct; one that is not named here does not compile.
macro_rules! note {
    ($fields:expr, $name:literal, $($field:ident),+) => {{
        $($fields.field($name, stringify!($field), $field);)+
    }};
}

impl Fields {
    /// The fields that were never set.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.all.difference(&self.set).cloned().collect()
    }

    fn field(&mut self, of: &str, name: &str, value: &impl Serialize) {
        let name = format!("{of}.{name}");
        let is_set = match json!(value) {
            Value::Null => false,
            Value::Bool(value) => value,
            Value::Number(number) => number.as_u64() != Some(0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        };
        if is_set {
            self.set.insert(name.clone());
        }
        self.all.insert(name);
    }

    pub(crate) fn note(&mut self, record: &Record) {
        match record {
            Record::Started(started) => self.started(started),
            Record::Began { path, time_us } => note!(self, "began", path, time_us),
            Record::Stopped { path, time_us } => note!(self, "stopped", path, time_us),
            Record::Stuck { path, error, time_us } => {
                note!(self, "stuck", path, error, time_us);
                self.error(error);
            }
            Record::Decided { path, decision, time_us } => {
                note!(self, "decided", path, decision, time_us);
                self.decision(decision);
            }
            Record::Ended { path, end, time_us } => {
                note!(self, "ended", path, end, time_us);
                self.end(end);
            }
            Record::Warned { path, code, message, time_us } => note!(self, "warned", path, code, message, time_us),
            Record::Asked { request, by, time_us } => {
                note!(self, "asked", request, by, time_us);
                let Asker { who, reason } = by;
                note!(self, "asker", who, reason);
            }
            Record::Suspended { why, time_us } => {
                note!(self, "suspended", why, time_us);
                if let Suspension::Waiting { wake_at } = why {
                    note!(self, "waiting", wake_at);
                }
            }
            Record::Resumed { why, time_us } => note!(self, "resumed", why, time_us),
            Record::Rewound(rewound) => {
                let Rewound { time_us, reopened, undecided, reentered, inputs } = &**rewound;
                note!(self, "rewound", time_us, reopened, undecided, reentered, inputs);
                undecided.iter().for_each(|at| self.choice(at));
            }
            Record::Redefined(redefined) => self.redefined(redefined),
            Record::Closed { end, time_us, compensated } => {
                note!(self, "closed", end, time_us, compensated);
                self.end(end);
            }
        }
    }

    fn started(&mut self, started: &Started) {
        let Started {
            format,
            at,
            workflow,
            version,
            definition,
            input,
            starting_step,
            environment,
            parent,
            origin,
            inputs,
            state,
            labels,
        } = started;
        note!(self, "started", format, at, workflow, version, definition, input, starting_step, environment);
        note!(self, "started", parent, origin, inputs, state, labels);
        if let Some(Parent { run, path }) = parent {
            note!(self, "parent", run, path);
        }
        if let Some(Origin { run, path }) = origin {
            note!(self, "origin", run, path);
        }
    }

    fn redefined(&mut self, redefined: &Redefined) {
        let Redefined { time_us, definition, version, migrated } = redefined;
        note!(self, "redefined", time_us, definition, version, migrated);
        if let Some(Migrated { state, changes, undecided }) = migrated {
            note!(self, "migrated", state, changes, undecided);
            changes.values().flatten().for_each(|change| self.change(change));
            undecided.iter().for_each(|at| self.choice(at));
        }
    }

    fn end(&mut self, end: &End) {
        match end {
            End::Completed { output, changes } => {
                note!(self, "completed", output, changes);
                changes.iter().for_each(|change| self.change(change));
            }
            End::Skipped(SkipReason { code, message }) => note!(self, "skipped", code, message),
            End::Failed(Failure { error, handled }) => {
                note!(self, "failed", error, handled);
                self.error(error);
            }
            End::Cancelled(Cancelled { reason, aborted, still_running }) => {
                note!(self, "cancelled", reason, aborted, still_running);
            }
        }
    }

    fn error(&mut self, error: &StepError) {
        let StepError { class, code, message, path, attempt, retryable, cause, details } = error;
        note!(self, "error", class, code, message, path, attempt, retryable, cause, details);
    }

    fn change(&mut self, KeptChange { path, edit }: &KeptChange) {
        note!(self, "change", path);
        match edit {
            KeptEdit::Value(value) => note!(self, "change", value),
            KeptEdit::Append { at, items, onto } => note!(self, "append", at, items, onto),
            KeptEdit::Grown { at, list } => note!(self, "grown", at, list),
            KeptEdit::Same(same) => note!(self, "change", same),
        }
    }

    fn choice(&mut self, ChoiceAt { path, key }: &ChoiceAt) {
        note!(self, "choice", path, key);
    }

    fn decision(&mut self, decision: &Decision) {
        match decision {
            Decision::Awaits(_, Awaited { signal, since, until }) => note!(self, "awaits", signal, since, until),
            Decision::Received(_, Received::Signal(signal)) => {
                let Signal { number, name, data } = &**signal;
                note!(self, "signal", number, name, data);
            }
            Decision::Child(_, ChildRun { run, definition }) => note!(self, "child", run, definition),
            Decision::ForkPart(Output { value, state_changes }) => {
                note!(self, "fork_part", value, state_changes);
                for Change { path, edit } in state_changes {
                    note!(self, "state_change", path, edit);
                }
            }
            _ => {}
        }
    }
}
