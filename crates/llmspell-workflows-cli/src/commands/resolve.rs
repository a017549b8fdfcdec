use clap::Args;
use llmspell_workflows_advanced::{EventKind, Resolution};
use serde_json::Value;

use super::run::{SessionOptions, check_secrets, input, prepare};
use crate::{App, Exit, Failure};

/// Resolves a stuck step by stating its outcome, and resumes the run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow resolve @last charge --completed '{\"stdout\": \"receipt 7\"}'\n  \
    spellflow resolve 0199c1 /main/charge --run-again")]
pub(crate) struct Resolve {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// The step's path, or a unique suffix of the path.
    path: String,
    /// The step completed with this output, given as JSON.
    #[arg(long, value_name = "JSON", group = "outcome", required_unless_present_any = ["failed", "run_again"], value_parser = input::json)]
    completed: Option<Value>,
    /// The step did nothing and must not run again; a compensation is given up.
    #[arg(long, group = "outcome")]
    failed: bool,
    /// The step did nothing; run it again.
    #[arg(long, group = "outcome")]
    run_again: bool,
    #[command(flatten)]
    session_options: SessionOptions,
}

impl Resolve {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.session_options)?;
        check_secrets(&session, &settings, &known)?;
        let resolution = match self.completed {
            Some(output) => Resolution::Completed(output),
            None if self.failed => Resolution::Failed,
            None => Resolution::RunAgain,
        };
        let run = session.wait(session.executor().resolve(&known, &self.path, resolution))?;
        Ok(session.drive(EventKind::RunResumed, run, None))
    }
}
