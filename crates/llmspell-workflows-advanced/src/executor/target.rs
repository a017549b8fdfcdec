//! Which step is meant, in a run or in the runs that are steps of it.

use std::fmt;

use llmspell_workflows_basic::StepPath;
use llmspell_workflows_state::{RewindError, Rewinding};
use uuid::Uuid;

use super::Executor;
use crate::{ExecutorError, KnownRun};

/// How many steps an error names at most.
const NAMED_MAX: usize = 12;

/// A step of a run; shown as its path, behind those of the steps that are the runs around it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) step: StepPath,
    /// Where that step is a run itself: which one, and the step of it.
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
    /// The step that `given` means: its whole path, or the end of it.
    ///
    /// # Errors
    /// None is meant, or more than one; or a journal cannot be read.
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
            // It knows what there is instead.
            0 => rewinding.find(given).map(Target::own).map_err(ExecutorError::from),
            _ => {
                let candidates = found.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                Err(RewindError::AmbiguousStep { given: given.to_owned(), candidates }.into())
            }
        }
    }

    /// That the step at `target` of `run` takes an input.
    ///
    /// # Errors
    /// It calls no activity, or a journal cannot be read.
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

    /// All steps that `given` could mean.
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
        // With a whole path there is one child to look into.
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

/// Whether `given` is the path of something in the run that the step at `step` is.
fn is_around(step: &str, given: &str) -> bool {
    given.strip_prefix(step).is_some_and(|rest| rest.starts_with("/main/"))
}

/// What `given` can mean in the run that the step at `step` is: all of it, or what follows an end of `step` in it.
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
    fn what_is_given_may_begin_in_the_path_of_the_step_around() {
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
