//! Steps of which somebody has to say what they did.

use llmspell_workflows_basic::{
    ErrorClass, StepError, StepPath,
    engine::{Failure, Outcome, SkipReason},
};
use llmspell_workflows_state::{Rewinding, Rewound, RunJournal};
use serde_json::Value;

use super::{DurableRun, Executor, start::check_own};
use crate::{ExecutorError, KnownRun, home::Place};

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
        self.resolve_in(known, path, resolution).await?;
        self.resume(known).await
    }

    async fn resolve_in(&self, known: &KnownRun, path: &str, resolution: Resolution) -> Result<(), ExecutorError> {
        let not_stuck = || ExecutorError::NotStuck { run: known.id(), path: path.to_owned() };
        let Place::Log(folder) = &known.place else { return Err(not_stuck()) };
        let claim = self.claim_of(known.id(), folder)?;
        let journal = RunJournal::open(claim.journal.clone(), known.id()).await?;
        let suffix = format!("/{}", path.trim_start_matches('/'));
        let mut stuck: Vec<String> = journal.stuck().into_iter().map(|(path, _)| path).collect();
        stuck.retain(|stuck| stuck == path || stuck.ends_with(&suffix));
        let path = match stuck.len() {
            1 => stuck.swap_remove(0),
            0 => return self.resolve_child(known, path, resolution).await,
            _ => return Err(not_stuck()),
        };
        let now = self.inner.engine.clock().now();
        let started = journal.started().ok_or_else(not_stuck)?;
        let time_us = u64::try_from(now.duration_since(started.at).as_micros()).unwrap_or(0);
        let is_undo = path.ends_with("/$undo");
        if is_undo && resolution != Resolution::RunAgain {
            // It has ended, and so ends anew.
            journal.rewind(Rewound { at: now, reopened: vec![path.clone()], ..Rewound::default() }).await?;
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
                let records = self.inner.home.records(known)?;
                let plan = self.inner.recalled(&started.definition)?.plan;
                let mut rewinding = Rewinding::new(&plan, &records);
                let target: StepPath = path.parse().map_err(|_| not_stuck())?;
                rewinding.run_again(&target);
                journal.rewind(rewinding.rewound(now)).await?;
                return Ok(());
            }
        };
        journal.resolve(path, &outcome, time_us).await?;
        Ok(())
    }

    /// The step may be one of a run that is a step of this one.
    async fn resolve_child(&self, known: &KnownRun, path: &str, resolution: Resolution) -> Result<(), ExecutorError> {
        let history = self.inner.home.history(known)?;
        for child in history.steps.iter().filter_map(|step| step.child) {
            let Some(child) = self.inner.home.get(child)? else { continue };
            match Box::pin(self.resolve_in(&child, path, resolution.clone())).await {
                Err(ExecutorError::NotStuck { .. }) => {}
                resolved => return resolved,
            }
        }
        Err(ExecutorError::NotStuck { run: known.id(), path: path.to_owned() })
    }
}
