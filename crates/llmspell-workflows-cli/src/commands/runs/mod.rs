//! The runs of the store.

mod delete;
mod events;
mod export;
mod list;
mod prune;
mod show;
mod state;
mod watch;

use clap::{Args, Subcommand};

use crate::{App, Exit, Failure};

/// Shows the runs of the store, takes them elsewhere, and deletes them.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs list --status failed\n  spellflow runs show @last -o json\n  \
    spellflow runs watch @last")]
pub(crate) struct Runs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::List),
    Show(show::Show),
    Watch(watch::Watch),
    Events(events::Events),
    Logs(events::Logs),
    State(state::State),
    Diff(state::Diff),
    Export(export::Export),
    Import(export::Import),
    Delete(delete::Delete),
    Prune(prune::Prune),
}

impl Runs {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        match self.what {
            What::List(list) => list.execute(app),
            What::Show(show) => show.execute(app),
            What::Watch(watch) => watch.execute(app),
            What::Events(events) => events.execute(app),
            What::Logs(logs) => logs.execute(app),
            What::State(state) => state.execute(app),
            What::Diff(diff) => diff.execute(app),
            What::Export(export) => export.execute(app),
            What::Import(import) => import.execute(app),
            What::Delete(delete) => delete.execute(app),
            What::Prune(prune) => prune.execute(app),
        }
    }
}
