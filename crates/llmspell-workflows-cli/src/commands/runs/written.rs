//! The steps of a run that have written output.

use llmspell_workflows_advanced::{ExecutorError, Home, KnownRun, OutputCursor, SubRun};
use llmspell_workflows_basic::StepError;
use uuid::Uuid;

use crate::report::shell_word;

/// The paths of the steps of a run and its sub-workflows that have written output.
#[derive(Debug)]
pub(crate) struct WrittenPaths {
    run: Uuid,
    paths: Vec<String>,
}

impl WrittenPaths {
    /// Reads the paths from the log of `known`.
    pub(crate) async fn read(home: &dyn Home, known: &KnownRun) -> Result<Self, ExecutorError> {
        let mut paths: Vec<String> = Vec::new();
        if let Some(outputs) = home.outputs() {
            let own = SubRun { path: String::new(), run: known.clone() };
            for SubRun { path: around, run } in std::iter::once(own).chain(home.sub_runs(known).await?) {
                let mut cursor = OutputCursor::default();
                let lines = outputs.read(run.id(), &mut cursor).await?;
                for line in lines.iter().chain(cursor.unfinished()) {
                    let path = format!("{around}{}", line.attempt.source.path);
                    if paths.last() != Some(&path) {
                        paths.push(path);
                    }
                }
            }
        }
        Ok(Self { run: known.id(), paths })
    }

    /// Returns the command that shows the output of the step that failed with `error`, if the step
    /// wrote any.
    pub(crate) fn command(&self, error: &StepError) -> Option<String> {
        let path = innermost(error);
        self.paths.iter().find(|written| is_inside(&path, written))?;
        let step = if path == "/main" { String::new() } else { format!(" --step {}", shell_word(&path)) };
        Some(format!("spellflow runs logs {}{step}", self.run))
    }
}

/// Returns the path of the innermost step that failed with `error`, preceded by the paths of the
/// `workflow` steps that enclose it.
///
/// The cause of an error may also be an earlier failure elsewhere, such as the one that a handler
/// or a compensation step reacts to. Such a cause is not followed.
fn innermost(error: &StepError) -> String {
    let (mut around, mut innermost) = (String::new(), "/main".to_owned());
    for cause in std::iter::successors(Some(error), |error| error.cause.as_deref()) {
        let Some(path) = &cause.path else { continue };
        let path = format!("{around}{path}");
        if !is_inside(&innermost, &path) {
            break;
        }
        innermost = path;
        if cause.code == "child_failed" {
            around.clone_from(&innermost);
        }
    }
    innermost
}

/// Returns whether the step at `inner` is the step at `outer` or is inside it.
fn is_inside(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_names_the_full_path_of_the_innermost_failed_step() {
        let run = Uuid::nil();
        let paths = ["/main/sub/main/each[1]/it", "/main/each[1]/it", "/main/all/one", "/main/book/$undo"];
        let paths = paths.map(str::to_owned).to_vec();
        let written = WrittenPaths { run, paths };
        let at = |path: &str, cause: Option<&StepError>| StepError {
            cause: cause.cloned().map(Box::new),
            ..StepError::transient(if path == "/main/sub" { "child_failed" } else { "process_failed" }, "failed")
                .at(path)
        };
        let inner = at("/main/each[1]/it", None);
        let block = at("/main/each", Some(&inner));
        let of_child = at("/main/sub", Some(&block));
        for (error, step) in [
            (&inner, "'/main/each[1]/it'"),
            (&block, "'/main/each[1]/it'"),
            (&of_child, "'/main/sub/main/each[1]/it'"),
            (&at("/main/all", Some(&at("/main/all/one", None))), "/main/all/one"),
            // The compensation step failed after another step had failed.
            (&at("/main/book/$undo", Some(&at("/main/all/one", None))), "'/main/book/$undo'"),
        ] {
            assert_eq!(written.command(error), Some(format!("spellflow runs logs {run} --step {step}")), "{error:?}");
        }
        assert_eq!(written.command(&at("/main/other", None)), None);
        let unplaced = StepError::transient("x", "failed");
        assert_eq!(written.command(&unplaced), Some(format!("spellflow runs logs {run}")));
    }
}
