//! `spellflow run`: from the arguments to the exit code.

mod drive;
mod durable;
mod existing;
pub(crate) mod input;
mod summary;

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use llmspell_workflows_advanced::{EventKind, ExecutorError, Home, ProcessUsage, RunWait, StartOptions, cpu_time};
use llmspell_workflows_basic::{
    Driven as EngineDriven, EngineBuilder, Finished, RunOptions, WorkflowInput,
    engine::{Position, Wait},
    model::{Definition, Step, StepKind},
};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    inputs::Inputs,
    runs::{WrittenPaths, describe_wait, not_accepted},
};
pub(crate) use crate::failure::durable_failure;
use crate::{
    App, Exit, Failure,
    config::Settings,
    host,
    output::{Format, Output},
    report::{Recorded, Report, answer},
    source::Source,
    watch::{Hidden, Jsonl, Lines, Live, Places, Streamed, View, Watch},
};
pub(crate) use drive::{ActiveRun, RunEnd, drive, unless_stopped};
pub(crate) use durable::{RunResult, Session, SessionOptions};
pub(crate) use existing::{check_secrets, prepare, session_of, session_with};

/// Runs a workflow.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
    spellflow run flow.yaml --input name=Ada --input count:=3\n  \
    spellflow run flow.yaml --input @input.json --env production --timeout 5m\n  \
    cat flow.yaml | spellflow run - -o json")]
pub(crate) struct Run {
    /// The definition, YAML or JSON; `-` is standard input.
    file: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// The environment whose variables are used.
    #[arg(short, long = "env", value_name = "NAME")]
    environment: Option<String>,
    /// The step to start at; earlier steps are skipped.
    #[arg(long, value_name = "ID")]
    start_step: Option<String>,
    /// Do not record the run; it cannot be resumed.
    #[arg(long)]
    in_memory: bool,
    #[command(flatten)]
    session_options: SessionOptions,
}

impl Run {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let settings = self.session_options.settings(app.config()?.settings());
        let output = *app.output();
        let view = view(output);
        let builder = watched(host::engine(&settings)?, output, view.as_ref(), self.session_options.logs);
        let document = Source::read(&self.file)?.check(&builder.clone().build())?;
        let warnings = document.diagnostics();
        if !warnings.is_empty() {
            output.note(output.on_err_rendered(&warnings).trim_end());
        }
        host::check_secrets(&settings, &document.definition)?;
        let environment = self.environment(&settings, &document.definition);
        let mut input = WorkflowInput::new(self.inputs.read(&self.file)?);
        input.starting_step = self.start_step.clone();

        if self.in_memory {
            refuse_endless_wait(&document.definition)?;
            let runtime = host::runtime()?;
            let display = RunDisplay::new(output, view, settings.pause_grace).of_file(Some(&self.file));
            let engine = builder.build();
            let plan = engine.prepare(document.definition)?;
            let options = RunOptions { environment, timeout: settings.timeout, ..RunOptions::default() };
            let run = engine.start(&plan, input, &options).map_err(input::refused)?;
            let driven = async {
                match engine.drive_alone(&run).await {
                    EngineDriven::Done(finished) => RunEnd::Finished(finished),
                    EngineDriven::Parked(wait) => RunEnd::Waiting(wait, Vec::new()),
                    EngineDriven::Stuck { so_far, .. } => RunEnd::Finished(so_far),
                }
            };
            return Ok(display.drive(
                runtime,
                driven,
                std::future::ready(()),
                &ActiveRun::in_memory(&run),
                EventKind::RunStarted,
            ));
        }
        let session = Session::with(app, &settings, &self.session_options, builder, view)?;
        session.offer_interrupted(&document.definition.name)?;
        let grants = self.session_options.grants();
        let options = StartOptions { environment, grants, timeout: settings.timeout, ..StartOptions::default() };
        let run = session.wait(session.executor().start(document.definition, input, options))?;
        Ok(session.drive(EventKind::RunStarted, run, Some(&self.file)))
    }

    /// Returns the environment named by the flag or the configuration. The configured environment
    /// applies only to workflows with environments.
    fn environment(&self, settings: &Settings, definition: &Definition) -> Option<String> {
        let configured = settings.environment.clone().filter(|_| !definition.environments.is_empty());
        self.environment.clone().or(configured)
    }
}

/// Rejects a definition in which a step that is certain to run waits for an event without a
/// timeout, because nobody can send an event to a run in memory.
fn refuse_endless_wait(definition: &Definition) -> Result<(), Failure> {
    let is_endless = |step: &&Step| matches!(step.kind, StepKind::WaitForEvent(_)) && step.timeout.is_none();
    definition.certain_steps().into_iter().find(is_endless).map_or(Ok(()), |step| {
        let message = format!("the step `{}` waits for an event, but an in-memory run cannot receive events", step.id);
        Err(Failure::usage(message).with_help("run it without `--in-memory`, or give the step a `timeout`"))
    })
}

/// Options for displaying a run and its result.
pub(crate) struct RunDisplay<'f> {
    pub(crate) output: Output,
    pub(crate) view: Option<Arc<dyn View>>,
    /// The time that running steps have to finish when the run is paused.
    pub(crate) pause_grace: Duration,
    /// The definition's file, if the run was started from a file.
    file: Option<&'f Path>,
    /// The home of a durable run.
    home: Option<Arc<dyn Home>>,
    /// The CPU time used by this process before the run.
    cpu: Option<Duration>,
}

/// Drops running tasks and their processes.
fn stop(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

impl<'f> RunDisplay<'f> {
    pub(crate) fn new(output: Output, view: Option<Arc<dyn View>>, pause_grace: Duration) -> Self {
        Self { output, view, pause_grace, file: None, home: None, cpu: cpu_time() }
    }

    fn of_file(self, file: Option<&'f Path>) -> Self {
        Self { file, ..self }
    }

    fn of_home(self, home: &Arc<dyn Home>) -> Self {
        Self { home: Some(home.clone()), ..self }
    }

    /// Shows the effect of an operating system signal, and keeps it visible.
    pub(crate) fn notice(&self, text: &str) {
        match &self.view {
            Some(view) => view.notice(text),
            None => self.output.note(text),
        }
    }

    /// Waits for the end of `run`, shows the result, and performs `after`. A signal stops `after`;
    /// if a signal has stopped the run immediately, `after` is skipped. `begins` is the event with
    /// which the run begins in this process.
    pub(crate) fn drive(
        self,
        runtime: Runtime,
        driven: impl Future<Output = RunEnd>,
        after: impl Future<Output = ()>,
        run: &ActiveRun,
        begins: EventKind,
    ) -> Exit {
        let output = self.output;
        if output.format() == Format::Jsonl {
            output.payload(&RunBegins {
                event: begins.as_str(),
                run_id: run.run().id().to_string(),
                workflow: &run.run().definition().name,
            });
        }
        let end = runtime.block_on(drive(driven, run, &self));
        if matches!(end, RunEnd::Killed) {
            stop(runtime);
            return self.show(run, end, None, None);
        }
        let recorded = runtime.block_on(self.recorded(run, &end));
        let written = runtime.block_on(self.written(run, &end));
        let is_finished = matches!(end, RunEnd::Finished(_));
        let exit = match recorded {
            Ok(recorded) => self.show(run, end, recorded.as_ref(), written.as_ref()),
            Err(failure) => output.failure(&failure),
        };
        runtime.block_on(unless_stopped(after));
        // A finished run has no tasks left.
        if is_finished {
            runtime.shutdown_background()
        } else {
            stop(runtime)
        }
        exit
    }

    /// Reads the records of a durable run for the report, if a report is shown.
    async fn recorded(&self, run: &ActiveRun, end: &RunEnd) -> Result<Option<Recorded>, Failure> {
        let (Some(home), false) = (&self.home, self.output.is_text() || matches!(end, RunEnd::Error(_))) else {
            return Ok(None);
        };
        let id = run.run().id();
        let known = home.get(id).await.map_err(durable_failure)?;
        let known = known.ok_or_else(|| durable_failure(ExecutorError::UnknownRun(id.to_string())))?;
        let recorded = Recorded::read(&**home, known, ProcessUsage::since(self.cpu)).await;
        recorded.map(Some).map_err(durable_failure)
    }

    /// Returns the steps that wrote output, if a durable run failed or is stuck and the output
    /// format is text.
    async fn written(&self, run: &ActiveRun, end: &RunEnd) -> Option<WrittenPaths> {
        let has_failed = match end {
            RunEnd::Finished(finished) => finished.error.is_some(),
            RunEnd::Stuck(_) => true,
            _ => false,
        };
        let home = self.home.as_ref().filter(|_| has_failed && self.output.is_text())?;
        written(self.output, &**home, run.run().id()).await
    }

    /// Shows how the run ended, or why it does not continue now.
    fn show(&self, run: &ActiveRun, end: RunEnd, recorded: Option<&Recorded>, written: Option<&WrittenPaths>) -> Exit {
        let output = self.output;
        let exit = match &end {
            RunEnd::Finished(finished) => exit(finished),
            RunEnd::Error(failure) => return output.failure(failure),
            RunEnd::Killed => return output.failure(&killed(run)),
            RunEnd::Waiting(..) | RunEnd::Stopped => Exit::Waiting,
            RunEnd::Stuck(_) => Exit::Stuck,
        };
        match (recorded, end) {
            (Some(recorded), end) => {
                if let RunEnd::Finished(finished) = &end {
                    summary::warnings(output, finished);
                }
                self.report(Report::past(recorded));
            }
            (None, RunEnd::Finished(finished)) if !output.is_text() => {
                summary::warnings(output, &finished);
                let definition = run.run().definition();
                self.report(Report::new(definition, &finished, ProcessUsage::since(self.cpu)));
            }
            (None, RunEnd::Finished(finished)) => {
                summary::show(output, run.run().definition(), &finished, self.file, written, run.is_durable());
            }
            (None, RunEnd::Stuck(steps)) => {
                let exit = output.failure(&durable::stuck(run.run().id(), &steps));
                steps.iter().for_each(|(_, error)| summary::logs(output, error, written));
                return exit;
            }
            (None, RunEnd::Waiting(wait, waits)) if run.is_durable() => self.note_wait(run, &wait, &waits),
            (None, RunEnd::Stopped) if run.is_durable() => {
                let id = run.run().id();
                output.note(&format!("run {id} is paused"));
                output.note(&format!("next: spellflow resume {id}"));
            }
            (None, _) => {
                let message = "the run is waiting for an event, but an in-memory run cannot receive events";
                return output.failure(&Failure::new(Exit::Waiting, "waiting", message));
            }
        }
        exit
    }

    fn report(&self, report: Report<'_>) {
        match self.output.format() {
            Format::Jsonl => self.output.payload(&report.into_event()),
            _ => self.output.payload(&report),
        }
    }

    /// Reports what a durable run waits for, and how to continue the run.
    fn note_wait(&self, run: &ActiveRun, wait: &Wait, waits: &[RunWait]) {
        let (output, id) = (self.output, run.run().id());
        output.note(&format!("run {id} is waiting {}", durable::waits_for(wait)));
        for wait in waits {
            output.note(&format!("  {}: {}", wait.path, describe_wait(&wait.awaited)));
            not_accepted(wait).iter().for_each(|line| output.note(&format!("  {line}")));
        }
        let events = waits.iter().filter_map(|wait| Some((wait.run, wait.awaited.signal.as_deref()?)));
        events.for_each(|(receiver, name)| output.note(&format!("next: {}", answer(receiver, name))));
        output.note(&format!("then: spellflow resume {id}   (`--wait` keeps waiting instead)"));
    }
}

/// Returns the steps of `run` that wrote output. If the log cannot be read, prints a warning.
async fn written(output: Output, home: &dyn Home, run: Uuid) -> Option<WrittenPaths> {
    let read = async {
        let known = home.get(run).await?.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))?;
        WrittenPaths::read(home, &known).await
    };
    read.await.inspect_err(|error| output.note(&format!("warning: cannot read the run's logs: {error}"))).ok()
}

fn killed(run: &ActiveRun) -> Failure {
    if run.is_durable() {
        let id = run.run().id();
        let failure = Failure::new(Exit::Interrupted, "paused", format!("run {id} is paused"));
        return failure.with_help(format!("resume it with `spellflow resume {id}`"));
    }
    let message = "the run was stopped immediately; its progress was not recorded";
    Failure::new(Exit::Interrupted, "interrupted", message)
}

/// The first line of a run in the `jsonl` format.
#[derive(serde::Serialize)]
struct RunBegins<'p> {
    event: &'static str,
    run_id: String,
    workflow: &'p str,
}

/// Shows the steps in `view`, and their output if `logs` is set.
pub(crate) fn watched(
    builder: EngineBuilder,
    output: Output,
    view: Option<&Arc<dyn View>>,
    logs: bool,
) -> EngineBuilder {
    let places = Arc::<Places>::default();
    let builder = match logs {
        true => builder.output_sink(Streamed::new(output, places.clone())),
        false => builder,
    };
    match view {
        Some(view) => builder.interceptor(Position::Trace, Watch::new(view.clone(), places)),
        // The streamed lines still need sub-workflow paths.
        None if logs => builder.interceptor(Position::Trace, Watch::new(Arc::new(Hidden), places)),
        None => builder,
    }
}

/// Returns the view of a running workflow; `None` for formats that print one value, unless stderr is a terminal.
pub(crate) fn view(output: Output) -> Option<Arc<dyn View>> {
    match (output.format(), std::io::stderr().is_terminal()) {
        (Format::Jsonl, _) => Some(Arc::new(Jsonl::new(output))),
        (_, true) => Some(Arc::new(Live::new(output))),
        (Format::Text, false) => Some(Arc::new(Lines::new(output))),
        (Format::Json | Format::Yaml, false) => None,
    }
}

fn exit(finished: &Finished) -> Exit {
    use llmspell_workflows_basic::{ErrorClass, RunStatus};
    match (finished.status, &finished.error) {
        (RunStatus::Completed, _) => Exit::Ok,
        (RunStatus::Cancelled, _) => Exit::Interrupted,
        (RunStatus::Waiting, _) => Exit::Waiting,
        // `--start-step` does not name a step.
        (_, Some(error)) if &*error.code == "unknown_starting_step" => Exit::Usage,
        // The time limit of the whole run, rather than of a step.
        (_, Some(error)) if error.class == ErrorClass::Timeout && error.path.as_deref() == Some("/main") => {
            Exit::TimedOut
        }
        _ => Exit::Failed,
    }
}
