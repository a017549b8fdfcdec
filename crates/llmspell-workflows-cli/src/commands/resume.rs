use std::{path::PathBuf, sync::Arc};

use clap::Args;

use super::run::{WaitOptions, check_secrets, durable_failure, prepare};
use crate::{App, Exit, Failure, host, source::Source};

/// Resumes an interrupted, paused or waiting run where it stopped.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow resume @last\n  spellflow resume 0199c1 --wait\n  \
    spellflow resume 0199c1 --definition flow.yaml --accept-changes")]
pub(crate) struct Resume {
    /// The run: its id, a unique prefix of it, or `@last`.
    run: String,
    /// The file of the run's definition; if it has changed since the run started, the difference is shown.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Resume with the changed definition; every recorded step must still exist in it.
    #[arg(long, requires = "definition")]
    accept_changes: bool,
    #[command(flatten)]
    wait_options: WaitOptions,
}

impl Resume {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.wait_options)?;
        let executor = session.executor();
        let changed = match &self.definition {
            Some(file) => {
                let new = Arc::new(Source::read(file)?.check(executor.engine())?.definition);
                match session.runtime().block_on(executor.check_definition(&known, &new)) {
                    Ok(()) => None,
                    Err(error) if !self.accept_changes => return Err(durable_failure(error)),
                    Err(_) => Some(new),
                }
            }
            None => None,
        };
        let run = match changed {
            Some(definition) => {
                host::check_secrets(&settings, &definition)?;
                session.wait(executor.resume_with(&known, definition))?
            }
            None => {
                check_secrets(&session, &settings, &known)?;
                session.wait(executor.resume(&known))?
            }
        };
        Ok(session.drive(run, None))
    }
}
