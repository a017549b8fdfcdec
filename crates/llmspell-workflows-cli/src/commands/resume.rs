use clap::Args;
use llmspell_workflows_advanced::{Continuation, EventKind, RewindOptions};

use super::{
    redefine::{Continued, Redefine},
    run::{SessionOptions, prepare},
};
use crate::{App, Exit, Failure};

/// Resumes an interrupted, paused or waiting run where it stopped.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow resume @last\n  spellflow resume 0199c1 --wait\n  \
    spellflow resume 0199c1 --definition flow.yaml --dry-run")]
pub(crate) struct Resume {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    #[command(flatten)]
    redefine: Redefine,
    #[command(flatten)]
    session_options: SessionOptions,
}

impl Resume {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (known, settings, session) = prepare(app, &self.run, &self.session_options)?;
        let mut options = RewindOptions::default();
        let continued = Continued { settings: &settings, known: &known, continuation: Continuation::Resume };
        if !self.redefine.prepare(&session, &continued, &mut options)? {
            return Ok(Exit::Ok);
        }
        let executor = session.executor();
        let run = match options.definition {
            Some(definition) => session.wait(executor.resume_with(&known, definition))?,
            None => session.wait(executor.resume(&known))?,
        };
        Ok(session.drive(EventKind::RunResumed, run, self.redefine.file()))
    }
}
