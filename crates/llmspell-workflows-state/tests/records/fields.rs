//! Finds the fields of records that are never set.

use std::collections::BTreeSet;

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Awaited, Cancelled, ChildRun, Decision, Failure, Output, Received, Signal, SkipReason},
    state::Change,
};
use llmspell_workflows_state::{
    ChoiceRef, End, Migrated, Origin, Parent, Record, Redefined, Rewound, Started, Suspension,
    record::{StoredChange, StoredEdit},
};
use serde::Serialize;
use serde_json::{Value, json};

/// All fields of records, and the fields that were set.
#[derive(Default)]
pub(crate) struct Fields {
    all: BTreeSet<String>,
    set: BTreeSet<String>,
}

/// Adds all fields of a struct; the macro does not compile if a field is missing.
macro_rules! add_fields {
    ($fields:expr, $name:literal, $($field:ident),+) => {{
        $($fields.field($name, stringify!($field), $field);)+
    }};
}

impl Fields {
    /// Returns the fields that were never set.
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

    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Started(started) => self.started(started),
            Record::Began { path, time_us } => add_fields!(self, "began", path, time_us),
            Record::Stopped { path, time_us } => add_fields!(self, "stopped", path, time_us),
            Record::Stuck { path, error, time_us } => {
                add_fields!(self, "stuck", path, error, time_us);
                self.error(error);
            }
            Record::Decided { path, decision, masks, time_us } => {
                add_fields!(self, "decided", path, decision, masks, time_us);
                self.decision(decision);
            }
            Record::Ended { path, end, time_us } => {
                add_fields!(self, "ended", path, end, time_us);
                self.end(end);
            }
            Record::Warned { path, code, message, time_us } => {
                add_fields!(self, "warned", path, code, message, time_us)
            }
            Record::Asked { request, by, time_us } => {
                add_fields!(self, "asked", request, by, time_us);
                let Asker { who, reason, message } = by;
                add_fields!(self, "asker", who, reason, message);
            }
            Record::Suspended { why, time_us } => {
                add_fields!(self, "suspended", why, time_us);
                if let Suspension::Waiting { wake_at } = why {
                    add_fields!(self, "waiting", wake_at);
                }
            }
            Record::Resumed { why, ahead_us, time_us } => add_fields!(self, "resumed", why, ahead_us, time_us),
            Record::Rewound(rewound) => {
                let Rewound { time_us, reopened, undecided, reentered, inputs, settled_messages } = &**rewound;
                add_fields!(self, "rewound", time_us, reopened, undecided, reentered, inputs, settled_messages);
                undecided.iter().for_each(|at| self.choice(at));
            }
            Record::Redefined(redefined) => self.redefined(redefined),
            Record::Closed { end, time_us, compensated } => {
                add_fields!(self, "closed", end, time_us, compensated);
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
            env,
            state,
            labels,
            grants,
            timeout_us,
        } = started;
        add_fields!(self, "started", format, at, workflow, version, definition, input, starting_step, environment);
        add_fields!(self, "started", parent, origin, inputs, env, state, labels, grants, timeout_us);
        if let Some(Parent { run, path }) = parent {
            add_fields!(self, "parent", run, path);
        }
        if let Some(Origin { run, path }) = origin {
            add_fields!(self, "origin", run, path);
        }
    }

    fn redefined(&mut self, redefined: &Redefined) {
        let Redefined { time_us, definition, version, migrated } = redefined;
        add_fields!(self, "redefined", time_us, definition, version, migrated);
        if let Some(Migrated { state, changes, undecided }) = migrated {
            add_fields!(self, "migrated", state, changes, undecided);
            changes.values().flatten().for_each(|change| self.change(change));
            undecided.iter().for_each(|at| self.choice(at));
        }
    }

    fn end(&mut self, end: &End) {
        match end {
            End::Completed { output, changes } => {
                add_fields!(self, "completed", output, changes);
                changes.iter().for_each(|change| self.change(change));
            }
            End::Skipped(SkipReason { code, message }) => add_fields!(self, "skipped", code, message),
            End::Failed(Failure { error, handled, later_errors }) => {
                add_fields!(self, "failed", error, handled, later_errors);
                self.error(error);
            }
            End::Cancelled(Cancelled { reason, aborted, still_running, later_errors }) => {
                add_fields!(self, "cancelled", reason, aborted, still_running, later_errors);
            }
        }
    }

    fn error(&mut self, error: &StepError) {
        let StepError { class, code, message, path, attempt, retryable, cause, details } = error;
        add_fields!(self, "error", class, code, message, path, attempt, retryable, cause, details);
    }

    fn change(&mut self, StoredChange { path, edit }: &StoredChange) {
        add_fields!(self, "change", path);
        match edit {
            StoredEdit::Value(value) => add_fields!(self, "change", value),
            StoredEdit::Append { at, items, onto } => add_fields!(self, "append", at, items, onto),
            StoredEdit::Grown { at, list } => add_fields!(self, "grown", at, list),
            StoredEdit::Same(same) => add_fields!(self, "change", same),
        }
    }

    fn choice(&mut self, ChoiceRef { path, key }: &ChoiceRef) {
        add_fields!(self, "choice", path, key);
    }

    fn decision(&mut self, decision: &Decision) {
        match decision {
            Decision::Awaits(_, Awaited { signal, since, until }) => add_fields!(self, "awaits", signal, since, until),
            Decision::Received(_, Received::Signal(signal)) => {
                let Signal { number, name, data, sent_to } = &**signal;
                add_fields!(self, "signal", number, name, data, sent_to);
            }
            Decision::Child(_, ChildRun { run, definition }) => add_fields!(self, "child", run, definition),
            Decision::ForkPart(Output { value, state_changes }) => {
                add_fields!(self, "fork_part", value, state_changes);
                for Change { path, edit } in state_changes {
                    add_fields!(self, "state_change", path, edit);
                }
            }
            _ => {}
        }
    }
}
