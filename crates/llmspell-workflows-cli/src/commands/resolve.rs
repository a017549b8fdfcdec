use clap::Args;
use llmspell_workflows_advanced::Resolution;
use serde_json::Value;

use super::run::{Stay, check_secrets, input, prepare};
use crate::{App, Exit, Failure};

/// Says what became of a step that is stuck, and goes on with its run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow resolve @last charge --completed '{\"receipt\": 7}'\n  \
    spellflow resolve 0199c1 /main/charge --run-again")]
pub(crate) struct Resolve {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
    /// The step, as its path or the end of it.
    path: String,
    /// It has done what it does, and gave this, in JSON.
    #[arg(long, value_name = "JSON", group = "what", required_unless_present_any = ["failed", "run_again"], value_parser = input::json)]
    completed: Option<Value>,
    /// It has not done what it does, and is not to; a step that undoes another is given up.
    #[arg(long, group = "what")]
    failed: bool,
    /// It has not done what it does, and is to.
    #[arg(long, group = "what")]
    run_again: bool,
    #[command(flatten)]
    stay: Stay,
}

impl Resolve {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.stay)?;
        check_secrets(app, &settings, &known)?;
        let resolution = match self.completed {
            Some(output) => Resolution::Completed(output),
            None if self.failed => Resolution::Failed,
            None => Resolution::RunAgain,
        };
        let run = session.wait(session.executor().resolve(&known, &self.path, resolution))?;
        Ok(session.go(run, None))
    }
}
