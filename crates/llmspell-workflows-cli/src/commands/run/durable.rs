//! Runs that survive.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use llmspell_workflows_advanced::{DurableEnd, DurableRun, Executor, ExecutorError, KnownRun, Parking};
use llmspell_workflows_basic::{EngineBuilder, RunStatus, StepError, engine::Wait};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Driven, Ended, Shown, drive, durable_failure, view, watched};
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

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Waits for what an executor does.
    ///
    /// # Errors
    /// It could not be done.
    pub(crate) fn wait<T>(&self, does: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Failure> {
        self.runtime.block_on(does).map_err(durable_failure)
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
                    let shown_run = Driven::durable(&run);
                    let driven = async { ended(self.executor.drive(run).await) };
                    self.runtime.block_on(drive(driven, &shown_run, &shown))
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
    pub(crate) fn go(self, run: DurableRun, file: Option<&Path>) -> Exit {
        let Self { output, view, pause_grace, timeout, runtime, executor } = self;
        let shown = Shown { output, view, timeout, pause_grace, file };
        let shown_run = Driven::durable(&run);
        let driven = async { ended(executor.drive(run).await) };
        shown.go(runtime, driven, &shown_run)
    }
}

fn ended(end: Result<DurableEnd, ExecutorError>) -> Ended {
    match end {
        Ok(DurableEnd::Finished(finished)) => Ended::Finished(finished),
        Ok(DurableEnd::Waiting(wait)) => Ended::Waiting(wait),
        Ok(DurableEnd::Stuck(steps)) => Ended::Stuck(steps),
        Ok(DurableEnd::Paused | DurableEnd::Released) => Ended::Stopped,
        Err(error) => Ended::Broken(Box::new(durable_failure(error))),
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
