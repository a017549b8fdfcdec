//! What runs there are.

mod list;
mod show;
mod watch;

use clap::{Args, Subcommand};

use crate::{App, Exit, Failure};

/// Shows the runs of the store.
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
}

impl Runs {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        match self.what {
            What::List(list) => list.execute(app),
            What::Show(show) => show.execute(app),
            What::Watch(watch) => watch.execute(app),
        }
    }
}
