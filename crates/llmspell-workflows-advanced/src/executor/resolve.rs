//! Manual resolution of stuck steps.

use llmspell_workflows_basic::{
    ErrorClass, StepError, StepPath,
    engine::{Outcome, SkipReason},
};
use llmspell_workflows_state::{RewindError, Rewinding, Rewound};
use serde_json::Value;

use super::{DurableRun, Executor};
use crate::{ExecutorError, KnownRun, home::UnresolvedStep};

/// The manual resolution of a stuck step.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// The step took effect, with this output.
    Completed(Value),
    /// The step did not take effect and must not run again. If the step is an undo, it is given up.
    Failed,
    /// The step did not take effect and must run again.
    RunAgain,
}

impl Executor {
    /// Resolves the stuck step at `path` of `known` and resumes the run.
    ///
    /// `path` may be a suffix of the step's path if only one stuck step matches.
    ///
    /// # Errors
    /// Returns an error if no stuck step matches `path`, other steps need fields that the output
    /// lacks, another process owns the run, or the journal cannot be read or written.
    pub async fn resolve(
        &self,
        known: &KnownRun,
        path: &str,
        resolution: Resolution,
    ) -> Result<DurableRun, ExecutorError> {
        self.check_top_level(known).await?;
        let not_stuck = || ExecutorError::NotStuck { run: known.id(), path: path.to_owned() };
        if known.journal().is_none() {
            return Err(not_stuck());
        }
        let mut matching = self.inner.home.unresolved(known).await?;
        matching.retain(|step| step.matches(path));
        if let Some(exact) = matching.iter().position(|step| step.to_string() == path) {
            matching = vec![matching.swap_remove(exact)];
        }
        match matching.as_slice() {
            [step] => self.resolve_step(step, resolution).await?,
            [] => return Err(not_stuck()),
            several => {
                let candidates = several.iter().map(ToString::to_string).collect();
                return Err(RewindError::AmbiguousStep { given: path.to_owned(), candidates }.into());
            }
        }
        self.resume(known).await
    }

    /// Checks that the steps reading a stuck step's output can work with `output`.
    async fn check_output(&self, step: &UnresolvedStep, output: &Value) -> Result<(), ExecutorError> {
        let plan = self.inner.prepared_by_hash(&step.run.summary.definition).await?.plan;
        let Ok(path) = step.path.parse::<StepPath>() else { return Ok(()) };
        match plan.unmet_reads(&self.inner.engine, &path, output) {
            unmet if unmet.is_empty() => Ok(()),
            unmet => Err(ExecutorError::UnfitOutput { path: step.to_string(), unmet }),
        }
    }

    async fn resolve_step(&self, step: &UnresolvedStep, resolution: Resolution) -> Result<(), ExecutorError> {
        let UnresolvedStep { run: known, path, .. } = step;
        let path = path.clone();
        let not_stuck = || ExecutorError::NotStuck { run: known.id(), path: path.clone() };
        let id = known.journal().ok_or_else(not_stuck)?;
        if let Resolution::Completed(output) = &resolution {
            self.check_output(step, output).await?;
        }
        let lease = self.inner.lease_run(known, id).await?;
        if self.inner.registry.is_owned(known.id()) {
            return Err(ExecutorError::Driven { run: known.id() });
        }
        let journal = self.inner.journal_in(lease.journal.clone(), known.id()).await?;
        // The step may have been resolved after it was looked up.
        if !journal.stuck().iter().any(|(stuck, _)| *stuck == path) {
            return Err(not_stuck());
        }
        let now = self.inner.engine.clock().now();
        let started = journal.started().ok_or_else(not_stuck)?;
        let parsed = path.parse::<StepPath>();
        let is_undo = parsed.is_ok_and(|path| path.id().is_some_and(|id| id.as_str() == "$undo"));
        if is_undo && resolution != Resolution::RunAgain {
            // A failed undo has ended; reopen it so that it can end again.
            let time_us = journal.time_us(now);
            journal.rewind(Rewound { time_us, reopened: vec![path.clone()], ..Rewound::default() }).await?;
        }
        let outcome = match resolution {
            Resolution::Completed(output) => Outcome::completed(output),
            Resolution::Failed if is_undo => {
                Outcome::Skipped(SkipReason::new("given_up", "resolved manually as not undone"))
            }
            Resolution::Failed => {
                let message = "resolved manually as failed";
                let error = StepError::new(ErrorClass::Poison, "resolved_as_failed", message).retryable(false);
                Outcome::failed(error.at(&path))
            }
            Resolution::RunAgain => {
                let records = self.inner.home.records(known).await?;
                let plan = self.inner.prepared_by_hash(&started.definition).await?.plan;
                let mut rewinding = Rewinding::new(&plan, &records)?;
                let target: StepPath = path.parse().map_err(|_| not_stuck())?;
                rewinding.run_again(&target);
                journal.rewind(rewinding.rewound(now)).await?;
                return Ok(());
            }
        };
        journal.resolve(path, &outcome, now).await?;
        Ok(())
    }
}
