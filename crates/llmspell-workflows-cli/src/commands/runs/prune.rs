use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use llmspell_workflows_advanced::{KnownRun, Prune as PruneFilter};
use llmspell_workflows_basic::RunStatus;

use super::{delete::report_deleted, selection::note_unknown_workflow};
use crate::{App, Exit, Failure, config::parse_duration};

/// Deletes runs that ended long ago.
///
/// Keeps unfinished runs and runs in the journal of a running process.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs prune\n  \
    spellflow runs prune --older-than 7d --status completed --keep 100\n  spellflow runs prune --dry-run")]
pub(super) struct Prune {
    /// Delete runs that ended at least this long ago, such as `7d`; the default is `store.retention`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Delete only runs with this status, such as `completed` or `failed`; may be repeated.
    #[arg(long, value_name = "STATUS", value_parser = parse_ended_status)]
    status: Vec<RunStatus>,
    /// Delete only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Keep this many of the newest matching runs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
    /// Show which runs would be deleted, without deleting anything.
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let older_than = self.older_than.unwrap_or(app.config()?.settings().retention);
        let ended_before = Timestamp::now().checked_sub(older_than).unwrap_or(Timestamp::MIN);
        let Self { status: statuses, workflow, keep, .. } = self;
        note_unknown_workflow(app, workflow.as_deref())?;
        let home = app.home();
        let found = app.wait(home.prunable(&PruneFilter { ended_before, statuses, workflow, keep }))?;
        let (deleted, held): (Vec<KnownRun>, Vec<KnownRun>) =
            found.into_iter().partition(|run| run.check_deletable().is_ok());
        if !self.dry_run {
            app.wait(home.delete(&deleted))?;
        }
        report_deleted(app, &deleted, &held, self.dry_run);
        Ok(Exit::Ok)
    }
}

fn parse_ended_status(text: &str) -> Result<RunStatus, String> {
    let status: RunStatus = text.parse()?;
    if status.has_ended() { Ok(status) } else { Err(format!("expected the status of an ended run, got {status}")) }
}
