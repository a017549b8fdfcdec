//! Finds steps and runs by name, and creates messages about names that select nothing.

use std::collections::BTreeSet;

use llmspell_workflows_advanced::{Executor, RewindError, RunQuery, SubRun};
use llmspell_workflows_basic::nearest;

use crate::{App, Exit, Failure, failure::durable_failure, workflow_test::known_steps};

/// The maximum number of names in a message.
const NAMES_MAX: usize = 12;

/// The number of runs read at once.
const PAGE: usize = 500;

/// Returns whether `path` is the step selected by the path suffix `step`, or is inside that step.
pub(super) fn is_selected(path: &str, step: &str) -> bool {
    let step = format!("/{}", step.trim_matches('/'));
    path.match_indices(&step).any(|(at, _)| {
        let rest = &path[at + step.len()..];
        rest.is_empty() || rest.starts_with(['/', '['])
    })
}

/// Checks that `step` selects a step of these runs: a step that has begun or that is in the
/// definition.
///
/// # Errors
/// Returns the failure `step_not_found`, which names the nearest step or some of the steps.
pub(super) fn check_step(app: &App, executor: &Executor, family: &[SubRun], step: &str) -> Result<(), Failure> {
    let home = app.home();
    let mut known = BTreeSet::new();
    for SubRun { path: around, run } in family {
        let begun = app.wait(home.history(run))?.steps;
        known.extend(begun.into_iter().map(|step| format!("{around}{}", step.path)));
    }
    if known.iter().any(|path| is_selected(path, step)) {
        return Ok(());
    }
    if let Some(SubRun { run, .. }) = family.first() {
        let defined = known_steps(&*app.wait(executor.definition(run))?);
        if defined.iter().any(|known| is_selected(&known.path, &without_numbers(step))) {
            return Ok(());
        }
        known.extend(defined.into_iter().map(|step| step.path));
    }
    let ends: BTreeSet<&str> = known.iter().filter_map(|path| Some(path.rsplit_once('/')?.1)).collect();
    let last = step.rsplit('/').next().unwrap_or(step);
    let help = match nearest(last, ends.iter().copied()) {
        Some(near) => {
            known.iter().find(|path| path.ends_with(&format!("/{near}"))).map(|path| format!("did you mean `{path}`?"))
        }
        None => listed("the steps of the run are", known.iter().filter(|path| *path != "/main").map(String::as_str)),
    };
    let (given, known) = (step.to_owned(), known.iter().take(NAMES_MAX).cloned().collect());
    let failure = durable_failure(RewindError::UnknownStep { given, known }.into());
    Err(Failure { help: help.or(failure.help), ..failure })
}

/// Returns a path without iteration and generation numbers, which do not occur in a definition.
fn without_numbers(path: &str) -> String {
    let mut kept = String::new();
    let mut parts = path.split(['[', '~']);
    kept.push_str(parts.next().unwrap_or_default());
    for part in parts {
        kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(']'));
    }
    kept
}

/// Returns the failure to report if the workflow `name` has no runs in any state. The failure names
/// the most similar workflow, or the workflows with runs.
///
/// # Errors
/// Returns an error if the store cannot be read.
pub(crate) fn unknown_workflow(app: &App, name: &str) -> Result<Option<Failure>, Failure> {
    let home = app.home();
    let one = RunQuery { workflow: Some(name.to_owned()), limit: 1, ..RunQuery::default() };
    if !app.wait(home.runs(&one))?.is_empty() {
        return Ok(None);
    }
    let (mut names, mut query) = (BTreeSet::new(), RunQuery { limit: PAGE, ..RunQuery::default() });
    loop {
        let page = app.wait(home.runs(&query))?;
        query.after = page.last().map(|run| run.summary.cursor());
        names.extend(page.iter().map(|run| run.summary.workflow.clone()));
        if page.len() < PAGE {
            break;
        }
    }
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => listed("workflows with runs are", names.iter().map(String::as_str)),
    };
    let failure =
        Failure::new(Exit::NotFound, "nothing_found", format!("the store has no runs of a workflow named `{name}`"));
    Ok(Some(Failure { help, ..failure }))
}

/// Prints a note if the workflow `name` has no runs, for commands that may find nothing.
///
/// # Errors
/// Returns an error if the store cannot be read.
pub(super) fn note_unknown_workflow(app: &App, name: Option<&str>) -> Result<(), Failure> {
    let Some(failure) = name.map(|name| unknown_workflow(app, name)).transpose()?.flatten() else { return Ok(()) };
    let help = failure.help.map(|help| format!("; {help}")).unwrap_or_default();
    app.output().note(&format!("{}{help}", failure.message));
    Ok(())
}

fn listed<'n>(head: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    let rest = names.len().saturating_sub(NAMES_MAX);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{head} {shown}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_selected_by_path_suffix_or_by_an_enclosing_path() {
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
    fn iteration_and_generation_numbers_are_removed() {
        for (path, expected) in
            [("each[12]/build~2", "each/build"), ("/main/each[0]~3/a", "/main/each/a"), ("a", "a"), ("", "")]
        {
            assert_eq!(without_numbers(path), expected);
        }
    }

    #[test]
    fn name_lists_are_bounded() {
        assert_eq!(listed("names are", [].into_iter()), None);
        assert_eq!(listed("names are", ["a", "b"].into_iter()).as_deref(), Some("names are `a`, `b`"));
        let many: Vec<String> = (0..15).map(|number| number.to_string()).collect();
        assert!(listed("n", many.iter().map(String::as_str)).is_some_and(|text| text.ends_with("`11` and 3 more")));
    }
}
