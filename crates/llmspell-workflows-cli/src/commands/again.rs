//! Runs that go on from an earlier point, as themselves or as new runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use llmspell_workflows_advanced::{RewindOptions, RunQuery};
use llmspell_workflows_basic::RunStatus;
use serde_json::Value;

use super::run::{Session, Stay, check_secrets, input, prepare};
use crate::{App, Exit, Failure, host, source::Source};

/// How many failed runs are retried at most by one command.
const ALL_MAX: usize = 10_000;

/// Lets a failed run go on, or all of them: what failed runs again, everything else stays.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow retry @last\n  spellflow retry --failed --workflow nightly\n  \
    spellflow retry 0199c1 --from 'each[3]/fetch' --step-input '{\"url\": \"http://localhost/\"}'")]
pub(crate) struct Retry {
    /// The run: its id, the beginning of it, or `@last`.
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    run: Option<String>,
    /// All runs that have failed, one after the other, the oldest first.
    #[arg(long, conflicts_with_all = ["from", "step_input"])]
    failed: bool,
    /// Only those of this workflow.
    #[arg(long, value_name = "NAME", requires = "failed")]
    workflow: Option<String>,
    /// The step from which on it runs again, as its path or the end of it; by default what failed.
    #[arg(long, value_name = "PATH")]
    from: Option<String>,
    /// What that step gets instead of what its parameters make, in JSON.
    #[arg(long, value_name = "JSON", requires = "from", value_parser = input::json)]
    step_input: Option<Value>,
    #[command(flatten)]
    stay: Stay,
}

/// Starts a new run of what a run ran; nothing is reused.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow rerun @last\n  \
    spellflow rerun 0199c1 --input name=Ada --definition flow.yaml")]
pub(crate) struct Rerun {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
    /// A field of the input instead of the run's: `KEY=TEXT`, `KEY:=JSON`, or `@FILE` with a JSON object.
    #[arg(short, long = "input", value_name = "INPUT")]
    inputs: Vec<String>,
    /// The definition as it is now, instead of the one that the run was started with.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    #[command(flatten)]
    stay: Stay,
}

/// Starts a new run that keeps what a run did, except from a step on.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow fork @last --from write\n  \
    spellflow fork 0199c1 --from '/main/both/left/each[2]/work' --step-input '{\"n\": 3}'")]
pub(crate) struct Fork {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
    /// The step from which on it runs again, as its path or the end of it.
    #[arg(long, value_name = "PATH")]
    from: String,
    /// What that step gets instead of what its parameters make, in JSON.
    #[arg(long, value_name = "JSON", value_parser = input::json)]
    step_input: Option<Value>,
    #[command(flatten)]
    stay: Stay,
}

impl Retry {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let Some(run) = &self.run else { return self.all(app) };
        let (known, settings, session) = prepare(app, run, &self.stay)?;
        check_secrets(app, &settings, &known)?;
        let again = RewindOptions { from: self.from, step_input: self.step_input };
        let run = session.wait(session.executor().retry(&known, &again))?;
        Ok(session.go(run, None))
    }

    fn all(self, app: &App) -> Result<Exit, Failure> {
        let settings = app.config()?.settings().clone();
        let query = RunQuery {
            statuses: vec![RunStatus::Failed],
            workflow: self.workflow,
            limit: ALL_MAX,
            ..RunQuery::default()
        };
        let mut runs = app.wait(app.home().runs(&query))?;
        // Those that are steps of others go on with them.
        runs.retain(|known| known.summary.parent.is_none());
        runs.reverse();
        let session = Session::new(app, &settings, &self.stay)?;
        Ok(session.go_each(&runs, |executor, known| {
            check_secrets(app, &settings, known)?;
            session.wait(executor.retry(known, &RewindOptions::default()))
        }))
    }
}

impl Rerun {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.stay)?;
        let definition = match &self.definition {
            Some(file) => Some(Arc::new(Source::read(file)?.check(session.executor().engine())?.definition)),
            None => None,
        };
        match &definition {
            Some(definition) => host::check_secrets(&settings, definition)?,
            None => check_secrets(app, &settings, &known)?,
        }
        let input = match input::read(&self.inputs, Path::new(""))? {
            Value::Null => None,
            given => Some(merged(app.wait(app.home().history(&known))?.started.input, given)),
        };
        let run = session.wait(session.executor().rerun(&known, definition, input))?;
        Ok(session.go(run, self.definition.as_deref()))
    }
}

impl Fork {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.stay)?;
        check_secrets(app, &settings, &known)?;
        let again = RewindOptions { from: Some(self.from), step_input: self.step_input };
        let run = session.wait(session.executor().fork(&known, &again))?;
        Ok(session.go(run, None))
    }
}

/// The fields of `before`, those of `given` instead where both have them.
fn merged(before: Value, given: Value) -> Value {
    match (before, given) {
        (Value::Object(mut before), Value::Object(given)) => {
            before.extend(given);
            Value::Object(before)
        }
        (_, given) => given,
    }
}
