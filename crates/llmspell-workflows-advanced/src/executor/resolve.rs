//! Steps of which somebody has to say what they did.

use std::fmt;

use llmspell_workflows_basic::{
    ErrorClass, StepError, StepPath,
    engine::{Failure, Outcome, SkipReason},
};
use llmspell_workflows_state::{PastStep, RewindError, Rewinding, Rewound};
use serde_json::Value;

use super::{DurableRun, Executor, Inner, start::check_own};
use crate::{ExecutorError, KnownRun};

/// What somebody knows of a step that is stuck.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It has done what it does, and gave this.
    Completed(Value),
    /// It has not done what it does, and is not to; a step that undoes another is given up.
    Failed,
    /// It has not done what it does, and is to.
    RunAgain,
}

impl Executor {
    /// Says what became of the step at `path` of `known`, or at the one path that ends so, and goes on with the run.
    ///
    /// # Errors
    /// No such step is stuck, another process has the run, or the journal cannot be read or written.
    pub async fn resolve(
        &self,
        known: &KnownRun,
        path: &str,
        resolution: Resolution,
    ) -> Result<DurableRun, ExecutorError> {
        check_own(known)?;
        let not_stuck = || ExecutorError::NotStuck { run: known.id(), path: path.to_owned() };
        if known.journal().is_none() {
            return Err(not_stuck());
        }
        let mut meant = self.inner.stuck_steps(known).await?;
        meant.retain(|step| step.is_meant(path));
        if let Some(exact) = meant.iter().position(|step| step.to_string() == path) {
            meant = vec![meant.swap_remove(exact)];
        }
        match meant.as_slice() {
            [step] => self.resolve_step(step, resolution).await?,
            [] => return Err(not_stuck()),
            several => {
                let candidates = several.iter().map(ToString::to_string).collect();
                return Err(RewindError::AmbiguousStep { given: path.to_owned(), candidates }.into());
            }
        }
        self.resume(known).await
    }

    async fn resolve_step(&self, step: &StuckStep, resolution: Resolution) -> Result<(), ExecutorError> {
        let StuckStep { run: known, path, .. } = step;
        let path = path.clone();
        let not_stuck = || ExecutorError::NotStuck { run: known.id(), path: path.clone() };
        let place = known.journal().ok_or_else(not_stuck)?;
        let lease = self.inner.lease_of(known.id(), place).await?;
        if self.inner.registry.is_owned(known.id()) {
            return Err(ExecutorError::Driven { run: known.id() });
        }
        let journal = self.inner.journal_in(lease.journal.clone(), known.id()).await?;
        // It may have been resolved since it was looked up.
        if !journal.stuck().iter().any(|(stuck, _)| *stuck == path) {
            return Err(not_stuck());
        }
        let now = self.inner.engine.clock().now();
        let started = journal.started().ok_or_else(not_stuck)?;
        let is_undo = path.ends_with("/$undo");
        if is_undo && resolution != Resolution::RunAgain {
            // It has ended, and so ends anew.
            let time_us = journal.time_us(now);
            journal.rewind(Rewound { time_us, reopened: vec![path.clone()], ..Rewound::default() }).await?;
        }
        let outcome = match resolution {
            Resolution::Completed(output) => Outcome::completed(output),
            Resolution::Failed if is_undo => {
                Outcome::Skipped(SkipReason::new("given_up", "somebody has said that it stays as it is"))
            }
            Resolution::Failed => {
                let message = "somebody has said that it has not done what it does";
                let error = StepError::new(ErrorClass::Poison, "resolved_as_failed", message).retryable(false);
                Outcome::Failed(Failure { error: Box::new(error.at(&path)), handled: false })
            }
            Resolution::RunAgain => {
                let records = self.inner.home.records(known).await?;
                let plan = self.inner.recalled(&started.definition).await?.plan;
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

/// A step of which somebody has to say what it did; shown as its path, behind those of the steps that are the runs
/// around it.
pub(super) struct StuckStep {
    run: KnownRun,
    around: Vec<String>,
    path: String,
}

impl StuckStep {
    /// Whether `given` is its path or the end of it, with or without the names of the roots inside.
    fn is_meant(&self, given: &str) -> bool {
        let suffix = format!("/{}", given.trim_start_matches('/'));
        let all: Vec<&str> = self.around.iter().map(String::as_str).chain([self.path.as_str()]).collect();
        let without_root = |path: &&str| path.strip_prefix("/main").map_or_else(|| (*path).to_owned(), str::to_owned);
        let short: String = all.iter().map(without_root).collect();
        self.to_string() == given || self.to_string().ends_with(&suffix) || short.ends_with(&suffix)
    }
}

impl fmt::Display for StuckStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.around.iter().try_for_each(|path| f.write_str(path))?;
        f.write_str(&self.path)
    }
}

impl Inner {
    /// The steps that are stuck in `run`, and in the runs that are steps of it.
    pub(super) async fn stuck_steps(&self, run: &KnownRun) -> Result<Vec<StuckStep>, ExecutorError> {
        let mut found = Vec::new();
        self.note_stuck_steps(run, &[], &mut found).await?;
        Ok(found)
    }

    async fn note_stuck_steps(
        &self,
        run: &KnownRun,
        around: &[String],
        found: &mut Vec<StuckStep>,
    ) -> Result<(), ExecutorError> {
        let history = self.home.history(run).await?;
        if history.end.is_some() {
            return Ok(());
        }
        for PastStep { path, stuck, child, .. } in history.steps {
            if stuck.is_some() {
                let (run, around) = (run.clone(), around.to_vec());
                found.push(StuckStep { run, around, path: path.clone() });
            }
            let Some(child) = child else { continue };
            if let Some(child) = self.home.get(child).await? {
                Box::pin(self.note_stuck_steps(&child, &[around, &[path]].concat(), found)).await?;
            }
        }
        Ok(())
    }
}
