//! What runs there are.

use clap::{Args, Subcommand};
use llmspell_workflows_advanced::KnownRun;
use serde::Serialize;
use serde_json::{Value, json};

use super::run::durable_failure;
use crate::{App, Exit, Failure, show};

/// Shows the runs of the store.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs list\n  spellflow runs list --status interrupted -o json")]
pub(crate) struct Runs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
}

/// Lists runs, the newest first.
#[derive(Debug, Args)]
struct List {
    /// Only those that are so.
    #[arg(long, value_name = "STATUS", value_parser = ["running", "interrupted", "completed", "failed", "cancelled"])]
    status: Option<String>,
    /// Only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// A run as programs read it.
#[derive(Serialize)]
struct Line {
    run_id: String,
    workflow: String,
    version: String,
    status: &'static str,
    started_at: String,
    ended_at: Option<String>,
    session_id: Option<String>,
    parent_run_id: Option<String>,
}

impl Runs {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let What::List(list) = self.what;
        let runs = app.home().runs().map_err(durable_failure)?;
        let wanted = runs.iter().filter(|run| {
            list.status.as_deref().is_none_or(|status| run.status() == status)
                && list.workflow.as_deref().is_none_or(|workflow| run.started.workflow == workflow)
        });
        let wanted: Vec<&KnownRun> = wanted.take(list.limit).collect();
        let output = app.output();
        if output.is_text() {
            let rows: Vec<Value> = wanted.iter().map(|run| row(run)).collect();
            output.text(&show::table(&rows).unwrap_or_else(|| "there are no such runs\n".to_owned()));
        } else {
            output.payload(&wanted.into_iter().map(Line::new).collect::<Vec<_>>());
        }
        Ok(Exit::Ok)
    }
}

impl Line {
    fn new(run: &KnownRun) -> Self {
        Self {
            run_id: run.run.to_string(),
            workflow: run.started.workflow.clone(),
            version: run.started.version.clone(),
            status: run.status(),
            started_at: run.started.at.to_string(),
            ended_at: run.end.as_ref().map(|(_, at)| at.to_string()),
            session_id: None,
            parent_run_id: None,
        }
    }
}

fn row(run: &KnownRun) -> Value {
    let note = match (run.error(), &run.end, &run.holder) {
        (Some(error), ..) => error.message.clone(),
        (None, None, Some(holder)) => holder.0.clone(),
        (None, None, None) => format!("spellflow resume {}", run.run),
        _ => String::new(),
    };
    json!({
        "run": run.run.to_string(),
        "workflow": run.started.workflow,
        "status": run.status(),
        "started": run.started.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        "note": note,
    })
}
