//! Runs that survive.

use llmspell_workflows_advanced::{DurableEnd, DurableRun, Executor, ExecutorError};

use super::{Ended, input};
use crate::{Exit, Failure};

pub(crate) async fn drive(executor: &Executor, run: &DurableRun) -> Ended {
    match executor.drive(run).await {
        Ok(DurableEnd::Finished(finished)) => Ended::Finished(finished),
        Ok(DurableEnd::Waiting(_)) => Ended::Waiting,
        Ok(DurableEnd::Stopped(_)) => Ended::Stopped,
        Err(error) => Ended::Broken(Box::new(failure(error))),
    }
}

/// What a user is told of it.
pub(crate) fn failure(error: ExecutorError) -> Failure {
    let message = error.to_string();
    match error {
        ExecutorError::Refused(error) => input::refused(error),
        ExecutorError::Invalid(_) => Failure::new(Exit::Invalid, "invalid_definition", message),
        ExecutorError::Journal(_) => Failure::new(Exit::Failed, "journal_failed", message),
        ExecutorError::File { .. } => Failure::new(Exit::Failed, "file_failed", message),
        ExecutorError::UnknownRun(_) => {
            Failure::new(Exit::NotFound, "run_not_found", message).with_help("`spellflow runs list` shows all runs")
        }
        ExecutorError::AmbiguousRun { .. } => Failure::new(Exit::Usage, "ambiguous_run", message),
        ExecutorError::Held { .. } => Failure::new(Exit::Failed, "run_held", message),
        ExecutorError::Ended { run } => Failure::new(Exit::Failed, "run_ended", message)
            .with_help(format!("`spellflow runs show {run}` shows what it came to")),
    }
}
