//! Runs that survive.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use llmspell_workflows_advanced::{DurableEnd, DurableRun, Executor, ExecutorError, KnownRun, Parking};
use llmspell_workflows_basic::{EngineBuilder, RunStatus, StepError, engine::Wait};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Driven, Ended, Shown, drive, input, view, watched};
use crate::{
    App, Exit, Failure,
    config::{Settings, parse_duration},
    host,
    output::Output,
    watch::View,
};

/// How long a command stays with the run that it starts or goes on with.
#[derive(Debug, Clone, Args)]
pub(crate) struct Stay {
    /// Stays while the run waits for events, too, instead of ending with code 5.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long the run may take, such as `90s` or `5m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// What drives durable runs for one command.
pub(crate) struct Session {
    output: Output,
    view: Option<Arc<dyn View>>,
    pause_grace: Duration,
    timeout: Option<Duration>,
    runtime: Runtime,
    executor: Executor,
}

impl Session {
    /// As the configuration says.
    ///
    /// # Errors
    /// A folder that tools may use cannot be opened, or the system gives no threads.
    pub(crate) fn new(app: &App, settings: &Settings, stay: &Stay) -> Result<Self, Failure> {
        let view = view(*app.output());
        let builder = watched(host::engine(settings)?, view.as_ref());
        Self::with(app, settings, stay, builder, view)
    }

    /// The same with an engine that is there already.
    pub(crate) fn with(
        app: &App,
        settings: &Settings,
        stay: &Stay,
        builder: EngineBuilder,
        view: Option<Arc<dyn View>>,
    ) -> Result<Self, Failure> {
        let parking = if stay.wait { Parking::Never } else { Parking::ForSignals };
        Ok(Self {
            output: *app.output(),
            view,
            pause_grace: settings.pause_grace,
            timeout: stay.timeout.or(settings.timeout),
            runtime: host::runtime()?,
            executor: Executor::new(app.home(), builder).parking(parking),
        })
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Waits for what an executor does.
    ///
    /// # Errors
    /// It could not be done.
    pub(crate) fn wait<T>(&self, does: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Failure> {
        self.runtime.block_on(does).map_err(failure)
    }

    /// Lets each of `runs` go on as `begin` says, one after the other, and shows what became of them; whoever interrupts
    /// one leaves those after it as they are.
    pub(crate) fn go_each(
        &self,
        runs: &[KnownRun],
        begin: impl Fn(&Executor, &KnownRun) -> Result<DurableRun, Failure>,
    ) -> Exit {
        let mut told = Vec::new();
        let mut exit = Exit::Ok;
        for known in runs {
            let (output, view) = (self.output, self.view.clone());
            output.note(&format!("{} {}", known.id(), known.summary.workflow));
            let shown = Shown { output, view, timeout: self.timeout, pause_grace: self.pause_grace, file: None };
            let ended = match begin(&self.executor, known) {
                Ok(run) => {
                    let driven = async { ended(self.executor.drive(&run).await) };
                    self.runtime.block_on(drive(driven, &Driven::Durable(&run), &shown))
                }
                Err(failure) => Ended::Broken(Box::new(failure)),
            };
            let (status, error) = match &ended {
                Ended::Finished(finished) => {
                    (finished.status.as_str(), finished.error.as_ref().map(ToString::to_string))
                }
                Ended::Waiting(_) => ("waiting", None),
                Ended::Stuck(steps) => ("stuck", Some(stuck(known.id(), steps).to_string())),
                Ended::Stopped | Ended::Killed => ("paused", None),
                Ended::Broken(failure) => (known.status().as_str(), Some(failure.to_string())),
            };
            let said = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            output.note(&format!("{} {status}{said}", known.id()));
            told.push(json!({"run_id": known.id(), "status": status, "error": error}));
            match ended {
                Ended::Finished(finished) if finished.status == RunStatus::Completed => {}
                Ended::Stopped | Ended::Killed => {
                    exit = Exit::Interrupted;
                    break;
                }
                _ => exit = Exit::Failed,
            }
        }
        if !self.output.is_text() {
            self.output.payload(&told);
        }
        exit
    }

    /// Drives `run` to its end, and shows it.
    pub(crate) fn go(self, run: &DurableRun, file: Option<&Path>) -> Exit {
        let Self { output, view, pause_grace, timeout, runtime, executor } = self;
        let shown = Shown { output, view, timeout, pause_grace, file };
        let driven = async { ended(executor.drive(run).await) };
        shown.go(runtime, driven, &Driven::Durable(run))
    }
}

fn ended(end: Result<DurableEnd, ExecutorError>) -> Ended {
    match end {
        Ok(DurableEnd::Finished(finished)) => Ended::Finished(finished),
        Ok(DurableEnd::Waiting(wait)) => Ended::Waiting(wait),
        Ok(DurableEnd::Stuck(steps)) => Ended::Stuck(steps),
        Ok(DurableEnd::Paused) => Ended::Stopped,
        Err(error) => Ended::Broken(Box::new(failure(error))),
    }
}

/// That somebody has to say what became of a step.
pub(super) fn stuck(run: impl std::fmt::Display, steps: &[(String, StepError)]) -> Failure {
    let why: Vec<String> = steps.iter().map(|(path, error)| format!("{path}: {}", error.message)).collect();
    let path = steps.first().map(|(path, _)| path.as_str()).unwrap_or_default();
    Failure::new(Exit::Stuck, "stuck", format!("the run {run} is stuck: {}", why.join("; "))).with_help(format!(
        "find out, then say so: `spellflow resolve {run} {path} --completed JSON`, `--failed` or `--run-again`"
    ))
}

/// What a wait is for, in words.
pub(super) fn waits_for(wait: &Wait) -> String {
    match wait.wake_at {
        Some(at) => format!("for an event, or until {at}"),
        None => "for an event".to_owned(),
    }
}

/// What to do about records of another version.
const OTHER_FORMAT: &str = "use the version of spellflow that recorded them, or another folder with `--store`";

/// What a user is told of it.
pub(crate) fn failure(error: ExecutorError) -> Failure {
    let message = error.to_string();
    let failed = |code: &str| Failure::new(Exit::Failed, code, message.clone());
    match error {
        ExecutorError::Refused(error) => input::refused(error),
        ExecutorError::Invalid(_) => Failure::new(Exit::Invalid, "invalid_definition", message),
        ExecutorError::Journal(error) if error.is_other_format() => failed("record_format").with_help(OTHER_FORMAT),
        ExecutorError::Store(error) if error.is_other_format() => failed("record_format").with_help(OTHER_FORMAT),
        ExecutorError::Journal(_) => failed("journal_failed"),
        ExecutorError::Store(_) => failed("store_failed"),
        ExecutorError::File { .. } => failed("file_failed"),
        ExecutorError::NoBell(_) => failed("no_loopback"),
        ExecutorError::Rewind(error) => rewind(&error, message),
        ExecutorError::UnknownRun(_) => {
            Failure::new(Exit::NotFound, "run_not_found", message).with_help("`spellflow runs list` shows all runs")
        }
        ExecutorError::AmbiguousRun { .. } => Failure::new(Exit::Usage, "ambiguous_run", message),
        ExecutorError::Held { run, .. } => failed("run_held")
            .with_help(format!("`spellflow runs watch {run}` shows it, `spellflow pause {run}` lets go of it")),
        ExecutorError::Import { .. } => Failure::new(Exit::Usage, "invalid_export", message)
            .with_help("`spellflow runs export` writes what can be imported"),
        ExecutorError::NewerExport { .. } => Failure::new(Exit::Usage, "newer_export", message)
            .with_help("import it with a later version of this program"),
        ExecutorError::Exists { run } => failed("run_exists")
            .with_help(format!("delete it first with `spellflow runs delete {run}`, or import into another store")),
        ExecutorError::InUse { .. } => failed("store_in_use").with_help(
            "wait until that process ends; with the journal `log`, which is the default, several can work at once",
        ),
        ExecutorError::OtherJournal { found, .. } => Failure::new(Exit::Usage, "other_journal", message)
            .with_help(format!("set `store.journal = \"{found}\"`, or name another folder with `--store`")),
        ExecutorError::JournalNotBuilt { kind } => Failure::new(Exit::Usage, "journal_not_built", message)
            .with_help(format!("build it with `--features {kind}`, or set `store.journal = \"log\"`")),
        ExecutorError::Driven { .. } => failed("run_held"),
        ExecutorError::Ended { run } => {
            failed("run_ended").with_help(format!("`spellflow runs show {run}` shows what it came to"))
        }
        ExecutorError::IsChild { parent, .. } => failed("run_is_child")
            .with_help(format!("`spellflow resume {parent}`, or `retry` where it has failed, goes on with both")),
        ExecutorError::NotStuck { run, .. } => Failure::new(Exit::NotFound, "not_stuck", message)
            .with_help(format!("`spellflow runs show {run}` shows which steps are stuck")),
        ExecutorError::NotEnded { run, .. } => {
            failed("run_not_ended").with_help(format!("end it with `spellflow cancel {run}`"))
        }
        ExecutorError::NotFailed { run, .. } => failed("run_not_failed").with_help(format!(
            "`spellflow fork {run} --from PATH` runs a part of it again, `spellflow rerun {run}` all of it"
        )),
        ExecutorError::Changed { run, difference } => {
            let lines = crate::difference::of_definitions(&difference.old, &difference.new);
            let message = format!("the run {run} was started with another definition:\n{}", lines.trim_end());
            Failure::new(Exit::Failed, "definition_changed", message)
                .with_help("`--accept-changes` goes on with the new definition where every recorded step still exists")
        }
        ExecutorError::MissingSteps { run, .. } => failed("definition_changed")
            .with_help(format!("`spellflow resume {run}` goes on with the definition that it was started with")),
        ExecutorError::Forbidden { .. } => failed("forbidden_by_hook"),
        ExecutorError::UnknownCheckpoint { .. } => Failure::new(Exit::NotFound, "checkpoint_not_found", message),
        ExecutorError::NothingSince { .. } => failed("nothing_since_checkpoint"),
    }
}

fn rewind(error: &llmspell_workflows_advanced::RewindError, message: String) -> Failure {
    use llmspell_workflows_advanced::RewindError;
    match error {
        RewindError::UnknownStep { .. } => Failure::new(Exit::NotFound, "step_not_found", message)
            .with_help("`spellflow runs show RUN` lists them all; for one of a sub-workflow, show the run of that"),
        RewindError::AmbiguousStep { .. } => Failure::new(Exit::Usage, "ambiguous_step", message),
        RewindError::NoInput { .. } | RewindError::InputForNoStep => {
            Failure::new(Exit::Usage, "no_step_input", message)
        }
        RewindError::NothingFailed => Failure::new(Exit::Failed, "nothing_failed", message),
        RewindError::Damaged(_) => Failure::new(Exit::Failed, "journal_failed", message),
    }
}
