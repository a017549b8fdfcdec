use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use llmspell_workflows_advanced::{KnownRun, Prune as Which};
use llmspell_workflows_basic::RunStatus;

use super::delete::said;
use crate::{App, Exit, Failure, config::parse_duration};

/// Deletes the runs that ended long ago.
///
/// Runs that have not ended stay, and those in the journal of a process that is alive.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs prune\n  \
    spellflow runs prune --older-than 7d --status completed --keep 100\n  spellflow runs prune --dry-run")]
pub(super) struct Prune {
    /// Those that ended at least so long ago, such as `7d`; `store.retention` by default.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Only those that are so: `completed`, `failed`, `cancelled`; may be repeated.
    #[arg(long, value_name = "STATUS", value_parser = ended)]
    status: Vec<RunStatus>,
    /// Only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// How many of the newest of these stay in any case.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
    /// Says which runs it would be, and deletes none.
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let older_than = self.older_than.unwrap_or(app.config()?.settings().retention);
        let ended_before = Timestamp::now().checked_sub(older_than).unwrap_or(Timestamp::MIN);
        let Self { status: statuses, workflow, keep, .. } = self;
        let home = app.home();
        let found = app.wait(home.prunable(&Which { ended_before, statuses, workflow, keep }))?;
        let (deleted, held): (Vec<KnownRun>, Vec<KnownRun>) =
            found.into_iter().partition(|run| run.check_deletable().is_ok());
        if self.dry_run {
            app.output().note("nothing is deleted; without `--dry-run` it would be:");
        } else {
            app.wait(home.delete(&deleted))?;
        }
        said(app, &deleted, &held);
        Ok(Exit::Ok)
    }
}

fn ended(text: &str) -> Result<RunStatus, String> {
    let status: RunStatus = text.parse()?;
    if status.has_ended() { Ok(status) } else { Err(format!("runs that are {status} have not ended, and stay")) }
}
