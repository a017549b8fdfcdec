//! Sessions that drive durable runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use llmspell_workflows_advanced::{DurableEnd, DurableRun, EventKind, Executor, ExecutorError, KnownRun, Parking};
use llmspell_workflows_basic::{EngineBuilder, RunStatus, StepError, engine::Wait};
use serde::Serialize;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{ActiveRun, RunDisplay, RunEnd, drive, durable_failure, unless_stopped, view, watched};
use crate::{
    App, Exit, Failure,
    config::{Settings, parse_duration},
    host,
    output::Output,
    report::{keep_session, resolution},
    watch::View,
};

/// Options for driving the run that a command starts or continues.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SessionOptions {
    /// Keep waiting while the run waits for an event, instead of exiting with code 5.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Show the output of the processes started by steps, each line prefixed with the step's path.
    #[arg(long)]
    pub(crate) logs: bool,
    /// The time limit for the run's steps, such as `90s` or `5m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// A host that tools may connect to, in addition to the configured ones, such as `127.0.0.1:8080`.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// A folder that tools may read and write, instead of the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
}

/// The names under which a run records the options that give it permissions.
const ALLOW_HOST: &str = "allow-host";
const ROOT: &str = "root";

impl SessionOptions {
    /// Returns the permissions that these options give, for the records of a new run.
    pub(crate) fn grants(&self) -> BTreeMap<String, Vec<String>> {
        // The run may be continued in another working directory.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let roots = self.root.iter().map(|root| absolute(root).display().to_string()).collect();
        let grants = [(ALLOW_HOST, self.allow_host.clone()), (ROOT, roots)];
        grants
            .into_iter()
            .filter(|(_, given)| !given.is_empty())
            .map(|(name, given)| (name.to_owned(), given))
            .collect()
    }

    /// Adds the permissions that a run was started with; the folders given now replace those given then.
    pub(crate) fn with_grants(&self, grants: &BTreeMap<String, Vec<String>>) -> Self {
        let given = |name: &str| grants.get(name).into_iter().flatten();
        let mut options = self.clone();
        options.allow_host.extend(given(ALLOW_HOST).filter(|host| !self.allow_host.contains(host)).cloned());
        if options.root.is_empty() {
            options.root.extend(given(ROOT).map(PathBuf::from));
        }
        options
    }

    /// Returns the configured settings with these options applied; suggested commands repeat the
    /// options.
    pub(crate) fn settings(&self, configured: &Settings) -> Settings {
        keep_session(&self.allow_host, &self.root);
        let mut settings = configured.clone();
        settings.timeout = self.timeout.or(settings.timeout);
        settings.policy.hosts.extend(self.allow_host.iter().cloned());
        if !self.root.is_empty() {
            settings.policy.read_roots.clone_from(&self.root);
            settings.policy.write_roots.clone_from(&self.root);
        }
        settings
    }
}

/// Drives durable runs for one command.
pub(crate) struct Session {
    output: Output,
    view: Option<Arc<dyn View>>,
    pause_grace: Duration,
    timeout: Option<Duration>,
    runtime: Runtime,
    executor: Executor,
}

impl Session {
    /// Creates a session with an engine for `settings`.
    ///
    /// # Errors
    /// Returns an error if a folder that tools may use cannot be opened or the async runtime cannot be started.
    pub(crate) fn new(app: &App, settings: &Settings, session_options: &SessionOptions) -> Result<Self, Failure> {
        let view = view(*app.output());
        let builder = watched(host::engine(settings)?, *app.output(), view.as_ref(), session_options.logs);
        Self::with(app, settings, session_options, builder, view)
    }

    /// Like [`new`](Self::new), with the given engine and view.
    pub(crate) fn with(
        app: &App,
        settings: &Settings,
        session_options: &SessionOptions,
        builder: EngineBuilder,
        view: Option<Arc<dyn View>>,
    ) -> Result<Self, Failure> {
        let parking = if session_options.wait { Parking::Never } else { Parking::ForSignals };
        Ok(Self {
            output: *app.output(),
            view,
            pause_grace: settings.pause_grace,
            timeout: session_options.timeout.or(settings.timeout),
            runtime: host::runtime()?,
            executor: Executor::new(app.home(), builder).parking(parking),
        })
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// Waits for an executor operation.
    ///
    /// # Errors
    /// Returns an error if the operation fails.
    pub(crate) fn wait<T>(&self, operation: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Failure> {
        self.runtime.block_on(operation).map_err(durable_failure)
    }

    /// Prints a note if runs of `workflow` were interrupted, because they can be resumed instead.
    ///
    /// # Errors
    /// Returns an error if a journal cannot be listed.
    pub(crate) fn offer_interrupted(&self, workflow: &str) -> Result<(), Failure> {
        let interrupted = self.wait(self.executor.home().interrupted(workflow))?;
        if let Some(newest) = interrupted.first() {
            let id = newest.id();
            let others = match interrupted.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} earlier; see `spellflow runs list --status interrupted`)"),
            };
            self.output.note(&format!(
                "note: run {id} of this workflow was interrupted; `spellflow resume {id}` continues it{others}"
            ));
        }
        Ok(())
    }

    /// Starts `known` with `begin`, drives it and reports its result, as one of several runs.
    pub(crate) fn drive_one(
        &self,
        known: &KnownRun,
        begin: impl FnOnce(&Executor) -> Result<DurableRun, Failure>,
    ) -> RunResult {
        let (output, view) = (self.output, self.view.clone());
        output.note(&format!("{} {}", known.id(), known.summary.workflow));
        let display = RunDisplay::new(output, view, self.pause_grace);
        let end = match begin(&self.executor) {
            Ok(run) => {
                self.timeout.iter().for_each(|timeout| run.run().limit_time(*timeout));
                let active = ActiveRun::durable(&run);
                let driven = drive_to_end(&self.executor, run);
                self.runtime.block_on(drive(driven, &active, &display))
            }
            Err(failure) => RunEnd::Error(Box::new(failure)),
        };
        let result = RunResult::of(known, &end);
        let detail = result.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        output.note(&format!("{} {}{detail}", known.id(), result.status));
        if let RunEnd::Finished(finished) = &end
            && let Some(error) = finished.error.as_ref().filter(|_| output.is_text())
        {
            let written = self.runtime.block_on(super::written(output, &**self.executor.home(), known.id()));
            super::summary::logs(output, error, written.as_ref());
        }
        result
    }

    /// Waits until the ended runs are archived, or until the process is asked to stop.
    pub(crate) fn wait_until_archived(&self) {
        self.runtime.block_on(unless_stopped(self.executor.wait_until_archived()));
    }

    /// Drives `run` to its end and shows the result. `begins` is the event with which the run
    /// begins.
    pub(crate) fn drive(self, begins: EventKind, run: DurableRun, file: Option<&Path>) -> Exit {
        let Self { output, view, pause_grace, timeout, runtime, executor } = self;
        let display = RunDisplay::new(output, view, pause_grace).of_file(file).of_home(executor.home());
        timeout.iter().for_each(|timeout| run.run().limit_time(*timeout));
        let active = ActiveRun::durable(&run);
        let driven = drive_to_end(&executor, run);
        // Wait for the archive: if every process exited earlier, each would start to archive the
        // same runs, and none would finish.
        display.drive(runtime, driven, executor.wait_until_archived(), &active, begins)
    }
}

/// The result of one of several runs.
#[derive(Serialize)]
pub(crate) struct RunResult {
    run_id: Uuid,
    status: &'static str,
    error: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl RunResult {
    /// Returns the result of a run that cannot be started.
    pub(crate) fn of_failure(known: &KnownRun, failure: Failure) -> Self {
        Self::of(known, &RunEnd::Error(Box::new(failure)))
    }

    fn of(known: &KnownRun, end: &RunEnd) -> Self {
        let (status, error, exit) = match end {
            RunEnd::Finished(finished) => {
                let exit = if finished.status == RunStatus::Completed { Exit::Ok } else { Exit::Failed };
                (finished.status.as_str(), finished.error.as_ref().map(ToString::to_string), exit)
            }
            RunEnd::Waiting(..) => ("waiting", None, Exit::Failed),
            RunEnd::Stuck(steps) => ("stuck", Some(stuck(known.id(), steps).to_string()), Exit::Failed),
            RunEnd::Stopped | RunEnd::Killed => ("paused", None, Exit::Interrupted),
            RunEnd::Error(failure) => (known.status().as_str(), Some(failure.to_string()), Exit::Failed),
        };
        Self { run_id: known.id(), status, error, exit }
    }
}

/// Drives `run` until it ends or waits.
async fn drive_to_end(executor: &Executor, run: DurableRun) -> RunEnd {
    let id = run.id();
    match executor.drive(run).await {
        Ok(DurableEnd::Finished(finished)) => RunEnd::Finished(finished),
        Ok(DurableEnd::Waiting(wait)) => {
            let waits = match executor.home().get(id).await {
                Ok(Some(known)) => executor.home().waits(&known).await,
                Ok(None) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            match waits {
                Ok(waits) => RunEnd::Waiting(wait, waits),
                Err(error) => RunEnd::Error(Box::new(durable_failure(error))),
            }
        }
        Ok(DurableEnd::Stuck(steps)) => RunEnd::Stuck(steps),
        Ok(DurableEnd::Paused | DurableEnd::Released) => RunEnd::Stopped,
        Err(error) => RunEnd::Error(Box::new(durable_failure(error))),
    }
}

/// Returns the failure of a run that has stuck steps, which must be resolved manually.
pub(super) fn stuck(run: impl std::fmt::Display, steps: &[(String, StepError)]) -> Failure {
    let why: Vec<String> = steps.iter().map(|(path, error)| format!("{path}: {}", error.message)).collect();
    let path = steps.first().map(|(path, _)| path.as_str()).unwrap_or_default();
    Failure::new(Exit::Stuck, "stuck", format!("run {run} is stuck: {}", why.join("; "))).with_help(format!(
        "check what happened, then run `{}`, or use `--failed` or `--run-again`",
        resolution(run, path)
    ))
}

/// Describes what a run waits for.
pub(super) fn waits_for(wait: &Wait) -> String {
    match wait.wake_at {
        Some(at) => format!("for an event, or until {at}"),
        None => "for an event".to_owned(),
    }
}

#[test]
fn help_for_a_stuck_run_can_be_pasted_into_a_shell() {
    for (path, expected) in [
        ("/main/pay", "spellflow resolve r1 /main/pay --completed JSON"),
        ("/main/each[0]/pay/$undo", "spellflow resolve r1 '/main/each[0]/pay/$undo' --completed JSON"),
    ] {
        let failure = stuck("r1", &[(path.to_owned(), StepError::configuration("stuck", "unknown outcome"))]);
        let help = failure.help.unwrap_or_default();
        assert!(help.contains(expected), "{help}");
    }
}
