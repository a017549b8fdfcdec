//! Failures of durable runs: the exit code and the help for each [`ExecutorError`].

use std::collections::BTreeSet;

use llmspell_workflows_advanced::{ExecutorError, RewindError};
use llmspell_workflows_basic::{RunStatus, UnmetRead};

use crate::{Exit, Failure, commands::run::input, report::answer};

/// The help text for records in a different format version.
const OTHER_FORMAT: &str = "use the version of spellflow that wrote them, or another folder with `--store`";

/// Converts `error` to a failure with its code, its exit code and a helpful command.
pub(crate) fn durable_failure(error: ExecutorError) -> Failure {
    let failure = Failure::new(exit(&error), error.code(), error.to_string());
    let failure = Failure { help: help(&error), retryable: error.is_retryable(), ..failure };
    match error {
        ExecutorError::Refused(error) => input::refused(error),
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
        | ExecutorError::UnfitOutput { .. }
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
            format!("watch it with `spellflow runs watch {run}`, or pause it with `spellflow pause {run}`")
        }
        ExecutorError::NotArchived { .. } => {
            "wait until that process has moved the run to the archive or has ended, then try again".to_owned()
        }
        ExecutorError::Import { .. } => "create an export with `spellflow runs export`".to_owned(),
        ExecutorError::NewerExport { .. } => "import it with a newer version of spellflow".to_owned(),
        ExecutorError::Exists { run } => {
            format!("delete it first with `spellflow runs delete {run}`, or import into another store")
        }
        ExecutorError::InUse { .. } => {
            "wait until that process ends, or use the default journal `log`, which several processes can share"
                .to_owned()
        }
        ExecutorError::OtherJournal { found, .. } => {
            format!("set `store.journal = \"{found}\"`, or use another folder with `--store`")
        }
        ExecutorError::JournalNotBuilt { kind } => {
            format!("build spellflow with `--features {kind}`, or set `store.journal = \"log\"`")
        }
        ExecutorError::Ended { run } => {
            format!("`spellflow runs show {run}` shows its result; a failed run continues with `spellflow retry {run}`")
        }
        ExecutorError::IsChild { parent, .. } => {
            format!(
                "resume its parent with `spellflow resume {parent}`; if the parent has failed, use `spellflow retry {parent}`"
            )
        }
        ExecutorError::AmbiguousSignal { name, candidates, .. } => {
            let first = candidates.first().map(String::as_str).unwrap_or_default();
            format!("send it to the run that should receive it: `{}`", answer(first, name))
        }
        ExecutorError::NotStuck { run, .. } => format!("`spellflow runs show {run}` shows which steps are stuck"),
        ExecutorError::UnfitOutput { unmet, .. } => unfit_output(unmet),
        ExecutorError::NotEnded { run, status: RunStatus::Stuck } => {
            format!("`spellflow runs show {run}` shows the command that resolves its stuck step")
        }
        ExecutorError::NotEnded { run, .. } => format!("end it with `spellflow cancel {run}`"),
        ExecutorError::NotFailed { run, status } => match status {
            RunStatus::Stuck => format!(
                "`spellflow runs show {run}` shows the stuck step; report its outcome with \
                 `spellflow resolve {run} PATH`"
            ),
            RunStatus::Pending | RunStatus::Running | RunStatus::Compensating => {
                format!("wait until it ends; `spellflow runs show {run}` shows its progress")
            }
            status if status.has_ended() => format!(
                "to run part of it again, use `spellflow fork {run} --from PATH`; to run all of it again, use \
                 `spellflow rerun {run}`"
            ),
            _ => format!("continue it with `spellflow resume {run}`"),
        },
        ExecutorError::UnknownEffects { run, paths } => {
            let path = paths.first().map(String::as_str).unwrap_or_default();
            format!("report its outcome with `spellflow resolve {run} {path}`, or keep the step in the definition")
        }
        ExecutorError::CannotRunAgain { paths, .. } => {
            let path = paths.first().map(String::as_str).unwrap_or_default();
            format!("keep its result with `--keep {path}`")
        }
        ExecutorError::MissingSteps { run, .. } => {
            format!("`spellflow resume {run}` resumes it with its original definition")
        }
        ExecutorError::Rewind(RewindError::UnknownStep { .. }) => {
            "`spellflow runs show RUN` lists all steps; for the steps of a sub-workflow, show the sub-workflow's run"
                .to_owned()
        }
        _ => return None,
    })
}

/// Shows how to supply the fields missing from an output.
fn unfit_output(unmet: &[UnmetRead]) -> String {
    let fields: BTreeSet<&str> = unmet.iter().filter_map(|unmet| unmet.field.as_deref()).collect();
    if fields.is_empty() {
        return "pass the step's whole output as JSON after `--completed`".to_owned();
    }
    let fields: Vec<String> = fields.into_iter().map(|field| format!("\"{field}\": VALUE")).collect();
    format!("add to the JSON after `--completed`: {}; use `null` for a field without a value", fields.join(", "))
}
