use clap::Args;
use llmspell_workflows_advanced::{KnownRun, RunListing, RunQuery};
use llmspell_workflows_basic::RunStatus;
use serde::Serialize;

use super::selection::note_unknown_workflow;
use crate::{App, Exit, Failure, table::table};

/// Lists runs, newest first.
///
/// If no run matches, the list is empty, and a note says whether the workflow has any runs.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs list\n  spellflow runs list --status failed --workflow nightly")]
pub(super) struct List {
    /// List only runs with this status; may be repeated.
    #[arg(long, value_name = "STATUS")]
    status: Vec<RunStatus>,
    /// List only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// List only the sub-workflows of this run.
    #[arg(long, value_name = "RUN")]
    parent: Option<String>,
    /// The maximum number of runs.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// A run in the list, in the formats for programs.
#[derive(Serialize)]
struct RunEntry<'r> {
    run_id: String,
    workflow: &'r str,
    version: &'r str,
    status: &'static str,
    started_at: String,
    ended_at: Option<String>,
    session_id: Option<String>,
    parent_run_id: Option<String>,
}

impl List {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let Self { status: statuses, workflow, parent, limit } = self;
        let parent = parent.map(|parent| app.wait(app.home().find(&parent))).transpose()?.map(|run| run.id());
        let query = RunQuery { statuses, workflow, parent, limit, ..RunQuery::default() };
        let RunListing { runs, damaged, damage } = app.wait(app.home().list(&query))?;
        let output = app.output();
        if runs.is_empty() {
            note_unknown_workflow(app, query.workflow.as_deref())?;
        }
        let damaged = damaged.iter().map(|run| run.error.to_string());
        for message in damage.iter().map(ToString::to_string).chain(damaged) {
            output.note(&format!("warning: {message}; see `spellflow store verify`"));
        }
        if let Some(ahead) = runs.iter().find(|run| run.is_ahead()) {
            let (run, at) = (ahead.id(), ahead.summary.started_at.strftime("%Y-%m-%d %H:%M:%S"));
            output.note(&format!(
                "warning: run {run} was started at {at}, which is in the future; check this machine's clock \
                 (`@last` prefers other runs)"
            ));
        }
        if output.is_text() {
            let head = ["run", "workflow", "status", "started", ""].map(str::to_owned);
            output.text(&table(std::iter::once(head).chain(runs.iter().map(row))));
        } else {
            output.payload(&runs.iter().map(RunEntry::new).collect::<Vec<_>>());
        }
        Ok(Exit::Ok)
    }
}

impl<'r> RunEntry<'r> {
    fn new(run: &'r KnownRun) -> Self {
        let summary = &run.summary;
        Self {
            run_id: run.id().to_string(),
            workflow: &summary.workflow,
            version: &summary.version,
            status: run.status().as_str(),
            started_at: summary.started_at.to_string(),
            ended_at: summary.ended_at.map(|at| at.to_string()),
            session_id: None,
            parent_run_id: summary.parent.map(|parent| parent.to_string()),
        }
    }
}

fn row(run: &KnownRun) -> [String; 5] {
    let note = match (&run.summary.error, run.status(), &run.holder) {
        (Some(error), ..) => error.message.clone(),
        (None, status, Some(holder)) if !status.has_ended() => holder.0.clone(),
        _ if run.summary.parent.is_some() => {
            run.summary.parent.map(|parent| format!("part of {parent}")).unwrap_or_default()
        }
        (None, RunStatus::Paused | RunStatus::Waiting, None) => format!("spellflow resume {}", run.id()),
        _ => String::new(),
    };
    let started = run.summary.started_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    [run.id().to_string(), run.summary.workflow.clone(), run.status().to_string(), started, note]
}
