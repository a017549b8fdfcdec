//! Which steps of a run have written something.

use llmspell_workflows_advanced::{ExecutorError, Home, KnownRun, OutputCursor, SubRun};
use llmspell_workflows_basic::StepError;
use uuid::Uuid;

use crate::report::shell_word;

/// The paths of the steps of a run, and of its sub-workflows, that have written something.
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
                for line in outputs.read(run.id(), &mut OutputCursor::default()).await? {
                    let path = format!("{around}{}", line.attempt.source.path);
                    if paths.last() != Some(&path) {
                        paths.push(path);
                    }
                }
            }
        }
        Ok(Self { run: known.id(), paths })
    }

    /// Returns the command that shows what the step of `error` wrote, if it wrote something.
    pub(crate) fn command(&self, error: &StepError) -> Option<String> {
        let causes = std::iter::successors(Some(error), |error| error.cause.as_deref());
        let path = causes.filter_map(|error| error.path.as_deref()).last().unwrap_or("/main");
        self.paths.iter().find(|written| is_selected(written, path))?;
        let step = if path == "/main" { String::new() } else { format!(" --step {}", shell_word(path)) };
        Some(format!("spellflow runs logs {}{step}", self.run))
    }
}

/// Returns whether `path` is the step that `step`, the end of a path, selects, or is inside that step.
pub(super) fn is_selected(path: &str, step: &str) -> bool {
    let step = format!("/{}", step.trim_matches('/'));
    path.match_indices(&step).any(|(at, _)| {
        let rest = &path[at + step.len()..];
        rest.is_empty() || rest.starts_with(['/', '['])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_selected_by_the_end_of_their_path_or_of_an_enclosing_one() {
        for (step, is_in) in [
            ("build", true),
            ("/build", true),
            ("each[2]/build", true),
            ("/main/each[2]/build", true),
            ("each[2]", true),
            ("each", true),
            ("/main", true),
            ("uild", false),
            ("each[1]", false),
            ("eac", false),
            ("build/x", false),
        ] {
            assert_eq!(is_selected("/main/each[2]/build", step), is_in, "{step}");
        }
    }

    #[test]
    fn command_names_the_innermost_step_that_failed() {
        let run = Uuid::nil();
        let written = WrittenPaths { run, paths: vec!["/main/sub/main/each[1]/it".to_owned()] };
        let inner = StepError::transient("process_failed", "failed").at("/main/each[1]/it");
        let outer = StepError { cause: Some(Box::new(inner.clone())), ..inner.clone() }.at("/main/sub");
        let command = format!("spellflow runs logs {run} --step '/main/each[1]/it'");
        assert_eq!(written.command(&inner), Some(command.clone()));
        assert_eq!(written.command(&outer), Some(command));
        let other = StepError::transient("x", "failed").at("/main/other");
        assert_eq!(written.command(&other), None);
    }
}
