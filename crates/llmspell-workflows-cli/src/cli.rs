//! The command line: global options and subcommands.

use std::{borrow::Cow, ffi::OsString, path::PathBuf};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    App, Exit, Failure, commands,
    escape::escape,
    output::{Format, Output},
};

/// Runs workflows written in YAML or JSON.
#[derive(Debug, Parser)]
#[command(
    name = "spellflow",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    before_help = "Examples:\n  \
        spellflow init my-project\n  \
        spellflow validate workflows\n  \
        spellflow plan flow.yaml\n  \
        spellflow run flow.yaml --input name=Ada\n  \
        spellflow test workflows",
    after_help = "Exit codes: 0 ok, 1 the run failed, 2 usage, 3 the definition is invalid, 4 not found, \
                  5 paused or waiting, 6 timed out, 8 stuck, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command accepts.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Global {
    /// The output format.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// When to use colors; `NO_COLOR` is respected.
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub(crate) color: Option<crate::output::Color>,
    /// Log more to standard error: `-v` logs runs and failures, `-vv` every step, `-vvv` everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The format of log lines.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<crate::logs::LogFormat>,
    /// The folder that contains the store, instead of `.spellflow`.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// The project's configuration file; by default, the nearest `spellflow.toml` in this folder or its parents.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(commands::init::Init),
    New(commands::new::New),
    Validate(commands::validate::Validate),
    Fmt(commands::fmt::Fmt),
    Schema(commands::schema::Schema),
    Graph(commands::graph::Graph),
    Plan(commands::plan::Plan),
    Run(commands::run::Run),
    Resume(commands::resume::Resume),
    Retry(commands::rewind::Retry),
    Rerun(commands::rewind::Rerun),
    Resolve(commands::resolve::Resolve),
    Fork(commands::rewind::Fork),
    Pause(commands::message::Pause),
    Cancel(commands::message::Cancel),
    Signal(commands::message::Signal),
    Runs(commands::runs::Runs),
    Store(commands::store::Store),
    Test(commands::test::Test),
    Tools(commands::tools::Tools),
    Explain(commands::explain::Explain),
    Doctor(commands::doctor::Doctor),
    Config(commands::config::Config),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

impl Command {
    fn execute(self, app: &App) -> Result<Exit, Failure> {
        match self {
            Self::Init(command) => command.execute(app),
            Self::New(command) => command.execute(app),
            Self::Validate(command) => command.execute(app),
            Self::Fmt(command) => command.execute(app),
            Self::Schema(command) => command.execute(app),
            Self::Graph(command) => command.execute(app),
            Self::Plan(command) => command.execute(app),
            Self::Run(command) => command.execute(app),
            Self::Resume(command) => command.execute(app),
            Self::Retry(command) => command.execute(app),
            Self::Rerun(command) => command.execute(app),
            Self::Resolve(command) => command.execute(app),
            Self::Fork(command) => command.execute(app),
            Self::Pause(command) => command.execute(app),
            Self::Cancel(command) => command.execute(app),
            Self::Signal(command) => command.execute(app),
            Self::Runs(command) => command.execute(app),
            Self::Store(command) => command.execute(app),
            Self::Test(command) => command.execute(app),
            Self::Tools(command) => command.execute(app),
            Self::Explain(command) => command.execute(app),
            Self::Doctor(command) => command.execute(app),
            Self::Config(command) => command.execute(app),
            Self::Completions(command) => command.execute(app),
            Self::Man(command) => command.execute(app),
        }
    }
}

/// Parses the arguments, executes the command and reports a failure.
pub(crate) fn main() -> Exit {
    crate::completion::complete_if_asked();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return show_parse_error(&error, &arguments),
    };
    let app = App::new(cli.global);
    let exit = cli.command.execute(&app).unwrap_or_else(|failure| app.output().failure(&failure));
    app.output().exit(exit)
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let color = match std::env::var_os("NO_COLOR") {
        Some(value) if !value.is_empty() => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    let matches = command().color(color).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Returns the whole command, for help, completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Prints the requested help or version, or reports invalid arguments.
fn show_parse_error(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // If standard output is closed, nothing can be reported. The text contains no argument.
        let _ = error.print();
        return Exit::Ok;
    }
    match Format::find_in(arguments) {
        Some(format) if format != Format::Text => {
            let text = error.render().to_string();
            let message = text.strip_prefix("error: ").unwrap_or(&text).split("\n\n").next().unwrap_or_default();
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
            let failure = Failure::usage(message.trim()).with_help(tip.unwrap_or("see `spellflow --help`"));
            Output::plain(format).failure(&failure)
        }
        _ => {
            let text = error.render();
            // The text quotes arguments, which may contain control characters; such text is printed
            // without styling.
            match escape(&text.to_string()) {
                Cow::Borrowed(_) => drop(error.print()),
                Cow::Owned(shown) => Output::plain(Format::Text).note(shown.trim_end()),
            }
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn command_line_definition_is_valid() {
        super::command().debug_assert();
    }
}
