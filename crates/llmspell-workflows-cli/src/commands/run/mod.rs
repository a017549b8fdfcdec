//! `spellflow run`: from the arguments to the exit code.

mod drive;
mod durable;
pub(crate) mod input;
mod known;
mod summary;

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use llmspell_workflows_advanced::StartOptions;
use llmspell_workflows_basic::{
    Driven as EngineDriven, EngineBuilder, Finished, RunOptions, WorkflowInput, engine::Position, model::Definition,
};
use tokio::runtime::Runtime;

use super::inputs::Inputs;
pub(crate) use crate::failure::durable_failure;
use crate::{
    App, Exit, Failure,
    config::Settings,
    host,
    output::{Format, Output},
    report::Report,
    source::Source,
    watch::{Jsonl, Lines, Live, View, Watch},
};
pub(crate) use drive::{Driven, Ended, drive};
pub(crate) use durable::{Session, Stay};
pub(crate) use known::{check_secrets, prepare};

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
    /// Which of the workflow's environments overrides variables.
    #[arg(short, long = "env", value_name = "NAME")]
    environment: Option<String>,
    /// The step to begin with; earlier ones are skipped.
    #[arg(long, value_name = "ID")]
    start_step: Option<String>,
    /// Keeps nothing of the run, so that it cannot be resumed.
    #[arg(long)]
    in_memory: bool,
    #[command(flatten)]
    stay: Stay,
    /// A host that tools may reach beside those of the configuration, such as `127.0.0.1:8080`.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// A folder that tools may use, instead of the working directory; may be repeated.
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
}

impl Run {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let settings = self.settings(app.config()?.settings());
        let output = *app.output();
        let view = view(output);
        let builder = watched(host::engine(&settings)?, view.as_ref());
        let document = Source::read(&self.file)?.check(&builder.clone().build())?;
        let warnings = document.diagnostics();
        if !warnings.is_empty() {
            output.note(warnings.render(output.style()).trim_end());
        }
        host::check_secrets(&settings, &document.definition)?;
        let environment = self.environment(&settings, &document.definition);
        let mut input = WorkflowInput::new(self.inputs.read(&self.file)?);
        input.starting_step = self.start_step.clone();

        if self.in_memory {
            let runtime = host::runtime()?;
            let (timeout, pause_grace) = (settings.timeout, settings.pause_grace);
            let shown = Shown { output, view, timeout, pause_grace, file: Some(&self.file) };
            let engine = builder.build();
            let plan = engine.prepare(document.definition)?;
            let options = RunOptions { environment, ..RunOptions::default() };
            let run = engine.start(&plan, input, &options).map_err(input::refused)?;
            let driven = async {
                match engine.drive(&run).await {
                    EngineDriven::Done(finished) => Ended::Finished(finished),
                    EngineDriven::Parked(wait) => Ended::Waiting(wait),
                    EngineDriven::Stuck { so_far, .. } => Ended::Finished(so_far),
                }
            };
            return Ok(shown.go(runtime, driven, &Driven::in_memory(&run)));
        }
        let session = Session::with(app, &settings, &self.stay, builder, view)?;
        let options = StartOptions { environment, ..StartOptions::default() };
        let run = session.wait(session.executor().start(document.definition, input, options))?;
        Ok(session.go(run, Some(&self.file)))
    }

    fn settings(&self, configured: &Settings) -> Settings {
        let mut settings = configured.clone();
        settings.timeout = self.stay.timeout.or(settings.timeout);
        settings.policy.hosts.extend(self.allow_host.iter().cloned());
        if !self.root.is_empty() {
            settings.policy.read_roots.clone_from(&self.root);
            settings.policy.write_roots.clone_from(&self.root);
        }
        settings
    }

    /// The flag's, else the configuration's, which is for workflows that have environments.
    fn environment(&self, settings: &Settings, definition: &Definition) -> Option<String> {
        let configured = settings.environment.clone().filter(|_| !definition.environments.is_empty());
        self.environment.clone().or(configured)
    }
}

/// How a run is watched, and where its end is shown.
pub(crate) struct Shown<'f> {
    pub(crate) output: Output,
    pub(crate) view: Option<Arc<dyn View>>,
    pub(crate) timeout: Option<Duration>,
    /// How long steps at work have to end when the run is paused.
    pub(crate) pause_grace: Duration,
    /// The definition's file, where it was started from one.
    pub(crate) file: Option<&'f Path>,
}

impl Shown<'_> {
    /// Waits for the end of `run`, and shows it.
    pub(crate) fn go(self, runtime: Runtime, driven: impl Future<Output = Ended>, run: &Driven) -> Exit {
        let output = self.output;
        let definition = run.run().definition();
        if output.format() == Format::Jsonl {
            output.payload(&First {
                event: "run_started",
                run_id: run.run().id().to_string(),
                workflow: &definition.name,
            });
        }
        let ended = runtime.block_on(drive(driven, run, &self));
        match ended {
            // Nothing of it runs any more.
            Ended::Finished(_) => runtime.shutdown_background(),
            // Whatever still runs is dropped, and its processes with it.
            _ => runtime.shutdown_timeout(Duration::from_millis(100)),
        }
        self.show(run, definition, ended)
    }

    fn show(&self, run: &Driven, definition: &Definition, ended: Ended) -> Exit {
        let (output, id) = (self.output, run.run().id());
        let finished = match ended {
            Ended::Finished(finished) => finished,
            Ended::Broken(failure) => return output.failure(&failure),
            Ended::Waiting(wait) if run.is_durable() => {
                let message = format!("the run {id} waits {}", durable::waits_for(&wait));
                let help = format!(
                    "send it with `spellflow signal {id} NAME`, then go on with `spellflow resume {id}`; \
                     `--wait` stays until it comes"
                );
                return output.failure(&Failure::new(Exit::Waiting, "waiting", message).with_help(help));
            }
            Ended::Stuck(steps) => return output.failure(&durable::stuck(id, &steps)),
            Ended::Stopped | Ended::Killed if run.is_durable() => {
                let exit = if matches!(ended, Ended::Killed) { Exit::Interrupted } else { Exit::Waiting };
                let failure = Failure::new(exit, "paused", format!("the run {id} is paused"));
                return output.failure(&failure.with_help(format!("go on with `spellflow resume {id}`")));
            }
            Ended::Waiting(_) | Ended::Stopped => {
                let message = "the run waits for an event, and is in memory, where none can reach it";
                return output.failure(&Failure::new(Exit::Waiting, "waiting", message));
            }
            Ended::Killed => {
                let message = "the run was stopped at once; what it did is not recorded";
                return output.failure(&Failure::new(Exit::Interrupted, "interrupted", message));
            }
        };
        match output.format() {
            Format::Text => summary::show(output, definition, &finished, self.file, run.is_durable()),
            Format::Jsonl => {
                summary::warnings(output, &finished);
                output.payload(&Last { event: "run_ended", report: Report::new(definition, &finished) });
            }
            Format::Json | Format::Yaml => {
                summary::warnings(output, &finished);
                output.payload(&Report::new(definition, &finished));
            }
        }
        exit(&finished)
    }
}

/// The first line of a run in JSON Lines.
#[derive(serde::Serialize)]
struct First<'p> {
    event: &'static str,
    run_id: String,
    workflow: &'p str,
}

/// The last line of a run in JSON Lines.
#[derive(serde::Serialize)]
struct Last<'f> {
    event: &'static str,
    #[serde(flatten)]
    report: Report<'f>,
}

/// The engine with `view` watching its steps.
pub(crate) fn watched(builder: EngineBuilder, view: Option<&Arc<dyn View>>) -> EngineBuilder {
    match view {
        Some(view) => builder.interceptor(Position::Trace, Watch::new(view.clone())),
        None => builder,
    }
}

/// What is shown while the run goes on: nothing to programs that want one value and do not watch.
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
        // The argument names no step.
        (_, Some(error)) if &*error.code == "unknown_starting_step" => Exit::Usage,
        // A limit of the run as a whole, not of a step of it.
        (_, Some(error)) if error.class == ErrorClass::Timeout && error.path.as_deref() == Some("/main") => {
            Exit::TimedOut
        }
        _ => Exit::Failed,
    }
}
