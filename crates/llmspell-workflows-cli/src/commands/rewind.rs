//! Commands that repeat a run or a part of it: `retry` in place, and `rerun` and `fork` as a new
//! run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use llmspell_workflows_advanced::{Continuation, EventKind, KnownRun, RewindOptions, RunQuery};
use llmspell_workflows_basic::RunStatus;
use serde_json::Value;

use super::{
    redefine::{Continued, Redefine},
    run::{RunResult, Session, SessionOptions, check_secrets, input, prepare, session_with},
    runs::unknown_workflow,
};
use crate::{App, Exit, Failure, config::Settings, host, source::Source};

/// The maximum number of failed runs that one command retries.
const ALL_MAX: usize = 10_000;

/// Retries a failed run, or all failed runs; completed steps are kept.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow retry @last\n  spellflow retry @last --definition flow.yaml\n  \
    spellflow retry --failed --workflow nightly\n  \
    spellflow retry --failed --definition flow.yaml\n  \
    spellflow retry 0199c1 --from 'each[3]/fetch' --step-input '{\"url\": \"http://localhost/\"}'")]
pub(crate) struct Retry {
    /// The run's id, a unique prefix of the id, or `@last`.
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    run: Option<String>,
    /// Retry all failed runs one at a time, oldest first; with `--definition`, only runs of its
    /// workflow.
    #[arg(long, conflicts_with_all = ["from", "step_input", "dry_run"])]
    failed: bool,
    /// Retry only runs of this workflow.
    #[arg(long, value_name = "NAME", requires = "failed")]
    workflow: Option<String>,
    /// The path (or unique path suffix) of the first step to run again; by default, failed steps
    /// run again.
    #[arg(long, value_name = "PATH")]
    from: Option<String>,
    /// The input of that step, as JSON; by default, it is computed from the step's parameters.
    #[arg(long, value_name = "JSON", requires = "from", value_parser = input::json)]
    step_input: Option<Value>,
    #[command(flatten)]
    redefine: Redefine,
    #[command(flatten)]
    session_options: SessionOptions,
}

/// Runs the same workflow again from scratch, as a new run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow rerun @last\n  \
    spellflow rerun 0199c1 --input name=Ada --definition flow.yaml")]
pub(crate) struct Rerun {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// Override a field of the input: `KEY=TEXT`, `KEY:=JSON`, or `@FILE` with a JSON object.
    #[arg(short, long = "input", value_name = "INPUT")]
    inputs: Vec<String>,
    /// Use the definition in this file instead of the run's original definition.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    #[command(flatten)]
    session_options: SessionOptions,
}

/// Starts a new run that keeps the results of another run up to a step, and continues from that
/// step.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow fork @last --from write\n  \
    spellflow fork 0199c1 --from '/main/both/left/each[2]/work' --step-input '{\"n\": 3}'")]
pub(crate) struct Fork {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// The path (or unique path suffix) of the first step to run again.
    #[arg(long, value_name = "PATH")]
    from: String,
    /// The input of that step, as JSON; by default, it is computed from the step's parameters.
    #[arg(long, value_name = "JSON", value_parser = input::json)]
    step_input: Option<Value>,
    #[command(flatten)]
    redefine: Redefine,
    #[command(flatten)]
    session_options: SessionOptions,
}

/// Checks that the input given for a step contains no secret.
fn check_step_input(settings: &Settings, input: Option<&Value>) -> Result<(), Failure> {
    input.map_or(Ok(()), |input| host::check_recorded(settings, "the input of the step", input))
}

impl Retry {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let Some(run) = &self.run else { return self.all(app) };
        let (known, settings, session) = prepare(app, run, &self.session_options)?;
        check_step_input(&settings, self.step_input.as_ref())?;
        let mut again = RewindOptions { from: self.from, step_input: self.step_input, definition: None };
        let continued = Continued { settings: &settings, known: &known, continuation: Continuation::Retry };
        if !self.redefine.prepare(&session, &continued, &mut again)? {
            return Ok(Exit::Ok);
        }
        let run = session.wait(session.executor().retry(&known, &again))?;
        Ok(session.drive(EventKind::RunRetried, run, self.redefine.file()))
    }

    fn all(self, app: &App) -> Result<Exit, Failure> {
        let mut sessions = SessionsByGrants { app, options: &self.session_options, made: Vec::new() };
        let definition = self.redefine.definition(&sessions.with(BTreeMap::new())?.session)?;
        let query = RunQuery {
            statuses: vec![RunStatus::Failed],
            workflow: self.workflow.clone().or_else(|| definition.map(|definition| definition.name.clone())),
            limit: ALL_MAX,
            ..RunQuery::default()
        };
        let mut runs = app.wait(app.home().runs(&query))?;
        // Runs of sub-workflows are retried with their parents.
        runs.retain(|known| known.summary.parent.is_none());
        runs.reverse();
        if runs.is_empty() {
            if let Some(name) = &query.workflow
                && let Some(failure) = unknown_workflow(app, name)?
            {
                return Err(failure);
            }
            app.output().note("no failed run to retry");
        }
        let (mut results, mut exit) = (Vec::new(), Exit::Ok);
        for known in &runs {
            let result = match sessions.of(known) {
                Ok(GrantedSession { settings, session, .. }) => session.drive_one(known, |executor| {
                    let mut again = RewindOptions::default();
                    let continued = Continued { settings, known, continuation: Continuation::Retry };
                    self.redefine.prepare(session, &continued, &mut again)?;
                    session.wait(executor.retry(known, &again))
                }),
                Err(failure) => RunResult::of_failure(known, failure),
            };
            if result.exit != Exit::Ok {
                exit = result.exit;
            }
            results.push(result);
            // An interrupt also skips the remaining runs.
            if exit == Exit::Interrupted {
                break;
            }
        }
        if !app.output().is_text() {
            app.output().payload(&results);
        }
        if exit != Exit::Interrupted {
            sessions.made.iter().for_each(|made| made.session.wait_until_archived());
        }
        Ok(exit)
    }
}

/// Sessions for runs that were started with different permissions.
struct SessionsByGrants<'a> {
    app: &'a App,
    options: &'a SessionOptions,
    made: Vec<GrantedSession>,
}

/// A session, its settings, and the permissions of its runs.
struct GrantedSession {
    grants: BTreeMap<String, Vec<String>>,
    settings: Settings,
    session: Session,
}

impl SessionsByGrants<'_> {
    /// Returns the session for runs that were started with the same permissions as `known`.
    fn of(&mut self, known: &KnownRun) -> Result<&GrantedSession, Failure> {
        let grants = self.app.wait(self.app.home().grants(known))?;
        self.with(grants)
    }

    fn with(&mut self, grants: BTreeMap<String, Vec<String>>) -> Result<&GrantedSession, Failure> {
        let at = match self.made.iter().position(|made| made.grants == grants) {
            Some(at) => at,
            None => {
                let (settings, session) = session_with(self.app, &grants, self.options)?;
                self.made.push(GrantedSession { grants, settings, session });
                self.made.len() - 1
            }
        };
        Ok(&self.made[at])
    }
}

impl Rerun {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.session_options)?;
        let definition = match &self.definition {
            Some(file) => Some(Arc::new(Source::read(file)?.check(session.executor().engine())?.definition)),
            None => None,
        };
        match &definition {
            Some(definition) => host::check_secrets(&settings, definition)?,
            None => check_secrets(&session, &settings, &known)?,
        }
        let input = match input::read(&self.inputs, Path::new(""))? {
            Value::Null => None,
            given => Some(merged(app.wait(app.home().started(&known))?.input, given)),
        };
        let run = session.wait(session.executor().rerun(&known, definition, input))?;
        Ok(session.drive(EventKind::RunStarted, run, self.definition.as_deref()))
    }
}

impl Fork {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.session_options)?;
        check_step_input(&settings, self.step_input.as_ref())?;
        let mut again = RewindOptions { from: Some(self.from), step_input: self.step_input, definition: None };
        let continued = Continued { settings: &settings, known: &known, continuation: Continuation::Fork };
        if !self.redefine.prepare(&session, &continued, &mut again)? {
            return Ok(Exit::Ok);
        }
        let run = session.wait(session.executor().fork(&known, &again))?;
        Ok(session.drive(EventKind::RunForked, run, self.redefine.file()))
    }
}

/// Merges two inputs; fields of `given` override those of `before`.
fn merged(before: Value, given: Value) -> Value {
    match (before, given) {
        (Value::Object(mut before), Value::Object(given)) => {
            before.extend(given);
            Value::Object(before)
        }
        (_, given) => given,
    }
}
