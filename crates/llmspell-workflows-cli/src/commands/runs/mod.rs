//! Commands that act on the runs in the store.

mod delete;
mod events;
mod export;
mod list;
mod logs;
mod prune;
mod selection;
mod show;
mod state;
mod watch;
mod written;

pub(crate) use {selection::unknown_workflow, show::describe_wait, show::not_accepted, written::WrittenPaths};

use clap::{Args, Subcommand};

use crate::{App, Exit, Failure};

/// Lists, shows, watches, exports, imports and deletes runs.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs list --status failed\n  spellflow runs show @last -o json\n  \
    spellflow runs watch @last")]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    List(list::List),
    Show(show::Show),
    Watch(watch::Watch),
    Events(events::Events),
    Logs(logs::Logs),
    State(state::State),
    Diff(state::Diff),
    Export(export::Export),
    Import(export::Import),
    Delete(delete::Delete),
    Prune(prune::Prune),
}

impl Runs {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        match self.command {
            RunsCommand::List(list) => list.execute(app),
            RunsCommand::Show(show) => show.execute(app),
            RunsCommand::Watch(watch) => watch.execute(app),
            RunsCommand::Events(events) => events.execute(app),
            RunsCommand::Logs(logs) => logs.execute(app),
            RunsCommand::State(state) => state.execute(app),
            RunsCommand::Diff(diff) => diff.execute(app),
            RunsCommand::Export(export) => export.execute(app),
            RunsCommand::Import(import) => import.execute(app),
            RunsCommand::Delete(delete) => delete.execute(app),
            RunsCommand::Prune(prune) => prune.execute(app),
        }
    }
}
