use std::path::PathBuf;

use llmspell_workflows_advanced::Home;

use crate::{
    Failure,
    cli::Global,
    config::Config,
    logs,
    output::{Color, Format, Output},
};

/// What the commands share: where results go, and the configuration.
pub(crate) struct App {
    output: Output,
    home: Home,
    config: Result<Config, Failure>,
}

impl App {
    /// A configuration that cannot be read is an error of the commands that ask for it, so `doctor` still works.
    pub(crate) fn new(global: Global) -> Self {
        let config = Config::load(&global);
        let home = match &config {
            Ok(config) => Home::new(&config.settings().store).with_journal(config.settings().journal),
            Err(_) => Home::new(global.store.clone().unwrap_or_else(|| PathBuf::from(".spellflow"))),
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
        Self { output, home, config }
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Where runs are kept; the same one each time, since some journals are opened once.
    pub(crate) fn home(&self) -> Home {
        self.home.clone()
    }

    /// The configuration.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        self.config.as_ref().map_err(Clone::clone)
    }
}
