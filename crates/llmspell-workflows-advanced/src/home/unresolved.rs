//! The stuck steps of a run and of its sub-workflows.

use std::{collections::HashMap, fmt};

use llmspell_workflows_basic::StepError;
use llmspell_workflows_state::{PastStep, RunState};
use uuid::Uuid;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// A step of a run, or of one of its sub-workflows, that must be resolved manually.
///
/// `Display` writes the step's path, prefixed with the paths of the enclosing sub-workflow steps.
#[derive(Debug, Clone)]
pub struct UnresolvedStep {
    /// The run that contains the step.
    pub run: KnownRun,
    /// The paths of the enclosing sub-workflow steps, outermost first, each relative to its own
    /// run.
    around: Vec<String>,
    /// The path of the step in its own run.
    pub(crate) path: String,
    /// Why the step is stuck.
    pub error: StepError,
}

impl UnresolvedStep {
    /// Returns whether `given` is the step's path or a suffix of it, with or without the `/main` of each sub-workflow.
    pub(crate) fn matches(&self, given: &str) -> bool {
        // The step may have been entered again since the user learned its path.
        let whole = self.to_string();
        self.matches_exactly(given)
            || whole.rsplit_once('~').is_some_and(|(entry, generation)| {
                let is_last = generation.bytes().all(|byte| byte.is_ascii_digit());
                is_last && entry.ends_with(&format!("/{}", given.trim_start_matches('/')))
            })
    }

    fn matches_exactly(&self, given: &str) -> bool {
        let suffix = format!("/{}", given.trim_start_matches('/'));
        let all: Vec<&str> = self.around.iter().map(String::as_str).chain([self.path.as_str()]).collect();
        let without_root = |path: &&str| path.strip_prefix("/main").map_or_else(|| (*path).to_owned(), str::to_owned);
        let short: String = all.iter().map(without_root).collect();
        self.to_string() == given || self.to_string().ends_with(&suffix) || short.ends_with(&suffix)
    }
}

impl fmt::Display for UnresolvedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.around.iter().try_for_each(|path| f.write_str(path))?;
        f.write_str(&self.path)
    }
}

impl dyn Home {
    /// Returns the stuck steps of a run and of its sub-workflows, in the order in which the steps
    /// began.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn unresolved(&self, run: &KnownRun) -> Result<Vec<UnresolvedStep>, ExecutorError> {
        let mut found = Vec::new();
        self.collect_unresolved(run, &[], &mut found).await?;
        Ok(found)
    }

    async fn collect_unresolved(
        &self,
        run: &KnownRun,
        around: &[String],
        found: &mut Vec<UnresolvedStep>,
    ) -> Result<(), ExecutorError> {
        if run.status().has_ended() {
            return Ok(());
        }
        let steps = self.history(run).await?.steps;
        let outlines = match steps.iter().any(|step| step.child.is_some()) {
            true => self.outlines_beside(run).await?,
            false => HashMap::new(),
        };
        let has_ended = |child: &Uuid| {
            outlines.get(child).is_some_and(|records| RunState::read_outline(records).closed().is_some())
        };
        for PastStep { path, stuck, child, .. } in steps {
            if let Some(error) = stuck {
                let (run, around) = (run.clone(), around.to_vec());
                found.push(UnresolvedStep { run, around, path: path.clone(), error });
            }
            let Some(child) = child.filter(|child| !has_ended(child)) else { continue };
            if let Some(child) = self.get(child).await? {
                Box::pin(self.collect_unresolved(&child, &[around, &[path]].concat(), found)).await?;
            }
        }
        Ok(())
    }
}
