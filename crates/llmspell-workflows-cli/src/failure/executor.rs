//! What a user is told when durable runs cannot do what a command asks; the code is the library's own.

use llmspell_workflows_advanced::{ExecutorError, RewindError};

use crate::{Exit, Failure, commands::run::input, difference};

/// What to do about records of another version.
const OTHER_FORMAT: &str = "use the version of spellflow that recorded them, or another folder with `--store`";

/// What a user is told of `error`: its code, how the process exits, and the command that helps.
pub(crate) fn durable_failure(error: ExecutorError) -> Failure {
    let failure = Failure::new(exit(&error), error.code(), error.to_string());
    let failure = Failure { help: help(&error), retryable: error.is_retryable(), ..failure };
    match error {
        ExecutorError::Refused(error) => input::refused(error),
        ExecutorError::Changed { run, difference } => {
            let lines = difference::of_definitions(&difference.old, &difference.new);
            let message = format!("the run {run} was started with another definition:\n{}", lines.trim_end());
            Failure { message, ..failure }
        }
        _ => failure,
    }
}

fn exit(error: &ExecutorError) -> Exit {
    match error {
        ExecutorError::Invalid(_) => Exit::Invalid,
        ExecutorError::UnknownRun(_)
        | ExecutorError::NotStuck { .. }
        | ExecutorError::UnknownCheckpoint { .. }
        | ExecutorError::Rewind(RewindError::UnknownStep { .. }) => Exit::NotFound,
        ExecutorError::Refused(_)
        | ExecutorError::AmbiguousRun { .. }
        | ExecutorError::Import { .. }
        | ExecutorError::NewerExport { .. }
        | ExecutorError::OtherJournal { .. }
        | ExecutorError::JournalNotBuilt { .. }
        | ExecutorError::Rewind(
            RewindError::AmbiguousStep { .. } | RewindError::NoInput { .. } | RewindError::InputForNoStep,
        ) => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn help(error: &ExecutorError) -> Option<String> {
    Some(match error {
        ExecutorError::Journal(error) if error.is_other_format() => OTHER_FORMAT.to_owned(),
        ExecutorError::Store(error) if error.is_other_format() => OTHER_FORMAT.to_owned(),
        ExecutorError::UnknownRun(_) => "`spellflow runs list` shows all runs".to_owned(),
        ExecutorError::Held { run, .. } => {
            format!("`spellflow runs watch {run}` shows it, `spellflow pause {run}` lets go of it")
        }
        ExecutorError::Import { .. } => "`spellflow runs export` writes what can be imported".to_owned(),
        ExecutorError::NewerExport { .. } => "import it with a later version of this program".to_owned(),
        ExecutorError::Exists { run } => {
            format!("delete it first with `spellflow runs delete {run}`, or import into another store")
        }
        ExecutorError::InUse { .. } => {
            "wait until that process ends; with the journal `log`, which is the default, several can work at once"
                .to_owned()
        }
        ExecutorError::OtherJournal { found, .. } => {
            format!("set `store.journal = \"{found}\"`, or name another folder with `--store`")
        }
        ExecutorError::JournalNotBuilt { kind } => {
            format!("build it with `--features {kind}`, or set `store.journal = \"log\"`")
        }
        ExecutorError::Ended { run } => format!("`spellflow runs show {run}` shows what it came to"),
        ExecutorError::IsChild { parent, .. } => {
            format!("`spellflow resume {parent}`, or `retry` where it has failed, goes on with both")
        }
        ExecutorError::NotStuck { run, .. } => format!("`spellflow runs show {run}` shows which steps are stuck"),
        ExecutorError::NotEnded { run, .. } => format!("end it with `spellflow cancel {run}`"),
        ExecutorError::NotFailed { run, .. } => {
            format!("`spellflow fork {run} --from PATH` runs a part of it again, `spellflow rerun {run}` all of it")
        }
        ExecutorError::Changed { .. } => {
            "`--accept-changes` goes on with the new definition where every recorded step still exists".to_owned()
        }
        ExecutorError::MissingSteps { run, .. } => {
            format!("`spellflow resume {run}` goes on with the definition that it was started with")
        }
        ExecutorError::Rewind(RewindError::UnknownStep { .. }) => {
            "`spellflow runs show RUN` lists them all; for one of a sub-workflow, show the run of that".to_owned()
        }
        _ => return None,
    })
}
