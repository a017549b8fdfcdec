//! Finds the step that a user specified, in a run or its sub-workflows.

use std::fmt;

use llmspell_workflows_basic::StepPath;
use llmspell_workflows_state::{RewindError, Rewinding};
use uuid::Uuid;

use super::Executor;
use crate::{ExecutorError, KnownRun};

/// The maximum number of steps listed in an error message.
const CANDIDATES_MAX: usize = 12;

/// A step of a run or of its sub-workflows.
///
/// `Display` writes the step's path, prefixed with the paths of the enclosing sub-workflow steps.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) step: StepPath,
    /// For a target inside a sub-workflow: the run of the sub-workflow, and the target in that run.
    pub(super) inside: Option<(KnownRun, Box<Target>)>,
}

impl Target {
    fn own(step: StepPath) -> Self {
        Self { step, inside: None }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)?;
        self.inside.as_ref().map_or(Ok(()), |(_, inside)| inside.fmt(f))
    }
}

impl Executor {
    /// Returns the step that `given` identifies; `given` is the step's path or a suffix of it.
    ///
    /// # Errors
    /// Returns an error if no step or more than one step matches `given`, or if a journal cannot be read.
    pub(super) async fn target(&self, run: &KnownRun, given: &str) -> Result<Target, ExecutorError> {
        let records = self.inner.home.records(run).await?;
        let plan = self.plan_of(run.id(), &records).await?;
        let rewinding = Rewinding::new(&plan, &records)?;
        let mut found = self.targets(&rewinding, given).await?;
        if let Some(exact) = found.iter().position(|target| target.to_string() == given) {
            return Ok(found.swap_remove(exact));
        }
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            // The error of `find` lists the existing steps.
            0 => rewinding.find(given).map(Target::own).map_err(ExecutorError::from),
            _ => {
                let candidates = found.iter().take(CANDIDATES_MAX).map(ToString::to_string).collect();
                Err(RewindError::AmbiguousStep { given: given.to_owned(), candidates }.into())
            }
        }
    }

    /// Checks that the step at `target` of `run` takes an input.
    ///
    /// # Errors
    /// Returns an error if the step does not call an activity or a journal cannot be read.
    pub(super) async fn check_input(&self, run: &KnownRun, target: &Target) -> Result<(), ExecutorError> {
        let (mut run, mut innermost) = (run, target);
        while let Some((child, inside)) = &innermost.inside {
            (run, innermost) = (child, inside);
        }
        let records = self.inner.home.records(run).await?;
        let plan = self.plan_of(run.id(), &records).await?;
        let checked = Rewinding::new(&plan, &records)?.check_input(&innermost.step);
        checked.map_err(|error| match error {
            RewindError::NoInput { .. } => RewindError::NoInput { path: target.to_string() }.into(),
            error => error.into(),
        })
    }

    /// Returns all steps that `given` matches.
    async fn targets(&self, rewinding: &Rewinding<'_>, given: &str) -> Result<Vec<Target>, ExecutorError> {
        let mut found = match rewinding.find(given) {
            Ok(step) if step.to_string() == given => return Ok(vec![Target::own(step)]),
            Ok(step) => vec![Target::own(step)],
            Err(RewindError::AmbiguousStep { candidates, .. }) => {
                candidates.iter().filter_map(|path| path.parse().ok()).map(Target::own).collect()
            }
            Err(RewindError::UnknownStep { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut children = rewinding.children();
        // A full path leads into exactly one child.
        if let Some(around) = children.iter().position(|(step, _)| is_around(&step.to_string(), given)) {
            children = vec![children.swap_remove(around)];
        }
        for (step, child) in children {
            let ends = ends_inside(&step.to_string(), given);
            for (child, inside) in Box::pin(self.targets_in(child, &ends)).await? {
                let target = Target { step: step.clone(), inside: Some((child, Box::new(inside))) };
                if !found.iter().any(|known| known.to_string() == target.to_string()) {
                    found.push(target);
                }
            }
        }
        Ok(found)
    }

    async fn targets_in(&self, child: Uuid, given: &[&str]) -> Result<Vec<(KnownRun, Target)>, ExecutorError> {
        let Some(child) = self.inner.home.get(child).await? else { return Ok(Vec::new()) };
        let records = self.inner.home.records(&child).await?;
        let plan = self.plan_of(child.id(), &records).await?;
        let rewinding = Rewinding::new(&plan, &records)?;
        let mut found = Vec::new();
        for given in given {
            found.extend(self.targets(&rewinding, given).await?.into_iter().map(|target| (child.clone(), target)));
        }
        Ok(found)
    }
}

/// Returns whether `given` is a path inside the sub-workflow at `step`.
fn is_around(step: &str, given: &str) -> bool {
    given.strip_prefix(step).is_some_and(|rest| rest.starts_with("/main/"))
}

/// Returns the parts of `given` that can refer to a step inside the sub-workflow at `step`: all of `given`, and the
/// rest after each prefix of `given` that is a suffix of `step`.
fn ends_inside<'g>(step: &str, given: &'g str) -> Vec<&'g str> {
    let after = |(at, _)| {
        let (head, rest) = given.split_at(at);
        let head = head.trim_start_matches('/');
        (!head.is_empty() && step.ends_with(&format!("/{head}"))).then_some(rest)
    };
    given.match_indices('/').filter_map(after).chain([given]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_begin_with_a_suffix_of_the_parent_steps_path() {
        let step = "/main/both/each[1]/sub";
        for (given, expected) in [
            ("work", vec!["work"]),
            ("turn[0]/work", vec!["turn[0]/work"]),
            ("sub/main/work", vec!["/main/work", "sub/main/work"]),
            ("/main/both/each[1]/sub/main/work", vec!["/main/work", "/main/both/each[1]/sub/main/work"]),
            ("each[1]/sub/work", vec!["/work", "each[1]/sub/work"]),
            ("each[0]/sub/work", vec!["each[0]/sub/work"]),
            ("ub/work", vec!["ub/work"]),
        ] {
            assert_eq!(ends_inside(step, given), expected, "{given}");
        }
        assert!(
            is_around(step, "/main/both/each[1]/sub/main/work") && !is_around(step, "/main/both/each[1]/submain/x")
        );
    }
}
