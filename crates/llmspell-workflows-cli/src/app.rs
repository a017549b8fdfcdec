use std::{path::PathBuf, sync::Arc};

use llmspell_workflows_advanced::{ExecutorError, FolderHome, Home};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Failure,
    cli::Global,
    commands::run::durable_failure,
    config::{Config, Settings},
    logs,
    output::{Color, Format, Output, Paint},
};

/// Returns the store named in the settings.
pub(crate) fn home(settings: &Settings) -> Arc<dyn Home> {
    FolderHome::new(&settings.store).with_journal(settings.journal).into()
}

/// The state shared by all commands: the output, the store and the configuration.
pub(crate) struct App {
    output: Output,
    home: Arc<dyn Home>,
    /// The async runtime for operations that do not drive a run; built on first use.
    runtime: std::cell::OnceCell<Runtime>,
    config: Result<Config, Failure>,
}

impl App {
    /// Creates the shared state. A configuration error is reported only by [`config`](Self::config), so `doctor`
    /// works without a valid configuration.
    pub(crate) fn new(global: Global) -> Self {
        crate::report::keep_global(global.store.as_deref(), global.config.as_deref());
        let config = Config::load(&global);
        let home = match &config {
            Ok(config) => home(config.settings()),
            Err(_) => FolderHome::new(global.store.clone().unwrap_or_else(|| PathBuf::from(".spellflow"))).into(),
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
        for file in config.iter().flat_map(Config::refused) {
            output.note(&format!("{}: {file}", output.on_err(Paint::Warn, "warning")));
        }
        logs::start(filter.as_deref(), log_format, &output);
        Self { output, home, runtime: std::cell::OnceCell::new(), config }
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Returns the store. All commands share one instance, because some journal kinds can be opened
    /// only once.
    pub(crate) fn home(&self) -> Arc<dyn Home> {
        self.home.clone()
    }

    /// Blocks until `operation` completes; the operation must not drive a run.
    ///
    /// # Errors
    /// Returns an error if the operation fails or the async runtime cannot be started.
    pub(crate) fn wait<T>(&self, operation: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Failure> {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                crate::host::check_sockets()?;
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| crate::host::no_runtime(&error))?;
                self.runtime.get_or_init(|| runtime)
            }
        };
        runtime.block_on(operation).map_err(durable_failure)
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot be read or is invalid.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        self.config.as_ref().map_err(Clone::clone)
    }
}
