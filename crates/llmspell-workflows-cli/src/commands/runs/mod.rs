//! What runs there are.

mod past;

use clap::{Args, Subcommand};
use llmspell_workflows_advanced::KnownRun;
use serde::Serialize;

use super::run::durable_failure;
use crate::{App, Exit, Failure, table::table};

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
    Show(Show),
}

/// Shows a run and its steps.
#[derive(Debug, Args)]
struct Show {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
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
        match self.what {
            What::List(list) => list.execute(app),
            What::Show(show) => show.execute(app),
        }
    }
}

impl Show {
    fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (home, output) = (app.home(), app.output());
        let known = home.find(&self.run).map_err(durable_failure)?;
        let history = home.history(&known).map_err(durable_failure)?;
        if output.is_text() {
            output.text(&past::text(&known, &history));
        } else {
            output.payload(&past::report(&known, &history));
        }
        Ok(Exit::Ok)
    }
}

impl List {
    fn execute(self, app: &App) -> Result<Exit, Failure> {
        let runs = app.home().runs().map_err(durable_failure)?;
        let wanted = runs.iter().filter(|run| {
            self.status.as_deref().is_none_or(|status| run.status() == status)
                && self.workflow.as_deref().is_none_or(|workflow| run.started.workflow == workflow)
        });
        let wanted: Vec<&KnownRun> = wanted.take(self.limit).collect();
        let output = app.output();
        if output.is_text() {
            let head = ["run", "workflow", "status", "started", ""].map(str::to_owned);
            output.text(&table(std::iter::once(head).chain(wanted.into_iter().map(row))));
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

fn row(run: &KnownRun) -> [String; 5] {
    let note = match (run.error(), &run.end, &run.holder) {
        (Some(error), ..) => error.message.clone(),
        (None, None, Some(holder)) => holder.0.clone(),
        (None, None, None) => format!("spellflow resume {}", run.run),
        _ => String::new(),
    };
    let started = run.started.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    [run.run.to_string(), run.started.workflow.clone(), run.status().to_owned(), started, note]
}
