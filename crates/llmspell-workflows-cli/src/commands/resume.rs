use clap::Args;
use llmspell_workflows_advanced::Executor;

use super::run::{Shown, drive_durable, durable_failure, view, watched};
use crate::{App, Exit, Failure, host};

/// Goes on with a run that was interrupted, exactly where it was.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow resume @last\n  spellflow resume 0199c1 -o json")]
pub(crate) struct Resume {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
}

impl Resume {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let settings = app.config()?.settings().clone();
        let (home, output) = (app.home(), *app.output());
        let known = home.find(&self.run).map_err(durable_failure)?;
        let view = view(output);
        let definition = home.definition(&known.started.definition).map_err(durable_failure)?;
        host::check_secrets(&settings, &definition)?;
        let builder = watched(host::engine(&settings)?, view.as_ref());
        let executor = Executor::new(home.claim_of(&known).map_err(durable_failure)?, builder);
        let runtime = host::runtime()?;
        let run = runtime.block_on(executor.resume(&known)).map_err(durable_failure)?;
        let shown = Shown { output, view, timeout: settings.timeout, file: None };
        Ok(shown.go(runtime, drive_durable(&executor, &run), run.run(), run.plan(), true))
    }
}
