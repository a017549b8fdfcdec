use clap::Args;
use llmspell_workflows_advanced::KnownRun;
use serde_json::json;

use crate::{App, Exit, Failure};

/// Deletes ended runs with all their records.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs delete @last\n  spellflow runs delete 0199c1 0199c2")]
pub(super) struct Delete {
    /// The runs' ids, unique prefixes of the ids, or `@last`.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
}

impl Delete {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let home = app.home();
        let runs: Vec<KnownRun> = self.runs.iter().map(|run| app.wait(home.find(run))).collect::<Result<_, _>>()?;
        app.wait(home.delete(&runs))?;
        report_deleted(app, &runs, &[], false);
        Ok(Exit::Ok)
    }
}

/// Reports the deleted runs, and the runs kept because a running process holds their journals. In a
/// dry run, reports the runs that would be deleted.
pub(super) fn report_deleted(app: &App, deleted: &[KnownRun], held: &[KnownRun], dry_run: bool) {
    let output = app.output();
    let ids = |runs: &[KnownRun]| runs.iter().map(|run| run.id().to_string()).collect::<Vec<_>>();
    if !output.is_text() {
        let name = if dry_run { "would_delete" } else { "deleted" };
        output.payload(&json!({name: ids(deleted), "held": ids(held)}));
        return;
    }
    let runs = if deleted.len() == 1 { "run" } else { "runs" };
    let what = if dry_run { "would be deleted" } else { "deleted" };
    output.note(&format!("{} {runs} {what}", deleted.len()));
    for run in held {
        let holder = run.holder.as_ref().map(|holder| holder.0.as_str()).unwrap_or_default();
        output.note(&format!(
            "run {} is kept while {holder} is running, because it is in that process's journal",
            run.id()
        ));
    }
}
