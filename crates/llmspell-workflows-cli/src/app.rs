use std::{path::PathBuf, sync::Arc};

use llmspell_workflows_advanced::{ExecutorError, FolderHome, Home};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Failure,
    cli::Global,
    commands::run::durable_failure,
    config::Config,
    logs,
    output::{Color, Format, Output},
};

/// What the commands share: where results go, and the configuration.
pub(crate) struct App {
    output: Output,
    home: Arc<dyn Home>,
    /// What commands wait on that drive no run.
    runtime: std::cell::OnceCell<Runtime>,
    config: Result<Config, Failure>,
}

impl App {
    /// A configuration that cannot be read is an error of the commands that ask for it, so `doctor` still works.
    pub(crate) fn new(global: Global) -> Self {
        let config = Config::load(&global);
        let home = match &config {
            Ok(config) => FolderHome::new(&config.settings().store).with_journal(config.settings().journal),
            Err(_) => FolderHome::new(global.store.clone().unwrap_or_else(|| PathBuf::from(".spellflow"))),
        };
        let (format, color) = match &config {
            Ok(config) => (config.settings().output, config.settings().color),
            Err(_) => (global.output.unwrap_or(Format::Text), global.color.unwrap_or(Color::Auto)),
        };
        let output = Output::new(format, color);
        let (filter, log_format) = match &config {
            Ok(config) => (config.settings().log.clone(), config.settings().log_format),
            Err(_) => (logs::directives(global.verbose), global.log_format.unwrap_or_default()),
        };
        logs::start(filter.as_deref(), log_format, &output);
        Self { output, home: home.into(), runtime: std::cell::OnceCell::new(), config }
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Where runs are kept; the same one each time, since some journals are opened once.
    pub(crate) fn home(&self) -> Arc<dyn Home> {
        self.home.clone()
    }

    /// The result of an operation on runs that drives none.
    ///
    /// # Errors
    /// It failed, or the system provides no runtime.
    pub(crate) fn wait<T>(&self, done: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Failure> {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| crate::host::no_runtime(&error))?;
                self.runtime.get_or_init(|| runtime)
            }
        };
        runtime.block_on(done).map_err(durable_failure)
    }

    /// The configuration.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        self.config.as_ref().map_err(Clone::clone)
    }
}
