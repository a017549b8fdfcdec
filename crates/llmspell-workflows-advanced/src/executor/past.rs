//! What can be told of runs with the help of their plans.

use std::collections::HashMap;

use llmspell_workflows_basic::{
    StepError, StepPath,
    engine::{Attempt, Decision, Outcome},
    model::StepKind,
};
use llmspell_workflows_state::{History, Record, Rewinding};
use serde_json::Value;

use super::Executor;
use crate::{ExecutorError, KnownRun};

/// What a process wrote that a step had started.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The step.
    pub path: String,
    /// Which attempt of it, counted from 1.
    pub attempt: u32,
    /// The exit code; none where the process did not come to its end.
    pub exit_code: Option<i64>,
    /// What it wrote to standard output. Of one that failed only the end of it is kept.
    pub stdout: String,
    /// What it wrote to standard error; the same.
    pub stderr: String,
}

impl Executor {
    /// The state of a run as what stands after the step at `at` sees it, which is its path or the end of it; `None`: as
    /// the run itself does by now.
    ///
    /// # Errors
    /// The step is not there, the definition does not run here, or the journal cannot be read.
    pub async fn state(&self, known: &KnownRun, at: Option<&str>) -> Result<Value, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.recalled(&known.summary.definition).await?.plan;
        let rewinding = Rewinding::new(&plan, &records);
        let at = at.map(|given| rewinding.find(given)).transpose()?;
        Ok(rewinding.state(at.as_ref())?)
    }

    /// The step that `given` means, which is its path or the end of it, as its whole path.
    ///
    /// # Errors
    /// None is meant, or more than one; or as [`Self::state`].
    pub async fn find_step(&self, known: &KnownRun, given: &str) -> Result<String, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.recalled(&known.summary.definition).await?.plan;
        Ok(Rewinding::new(&plan, &records).find(given)?.to_string())
    }

    /// What the processes of a run's steps wrote, in the order in which they ended.
    ///
    /// # Errors
    /// The definition does not run here, or the journal cannot be read.
    pub async fn written(&self, known: &KnownRun) -> Result<Vec<Written>, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.recalled(&known.summary.definition).await?.plan;
        let history = History::read(&records).map_err(llmspell_workflows_state::RewindError::Damaged)?;
        let steps = history.map(|history| history.steps).unwrap_or_default();
        let steps: HashMap<&str, _> = steps.iter().map(|step| (&*step.path, step.outcome.as_ref())).collect();
        let mut attempts: HashMap<&str, u32> = HashMap::new();
        let is_activity = |path: &str| {
            let path = path.parse::<StepPath>().ok();
            path.and_then(|path| plan.step(&path)).is_some_and(|step| matches!(step.kind, StepKind::Activity(_)))
        };
        let mut written = Vec::new();
        for record in &records {
            let Some(path) = record.path().filter(|path| is_activity(path)) else { continue };
            let one = match record {
                Record::Decided { decision: Decision::Attempt(Attempt::Failed { error, .. }), .. } => of_error(error),
                Record::Ended { .. } => match steps.get(path).copied().flatten() {
                    Some(Outcome::Completed(output)) => of_value(&output.value),
                    Some(Outcome::Failed(failure)) => of_error(&failure.error),
                    _ => None,
                },
                _ => None,
            };
            if let Some(one) = one {
                let attempt = attempts.entry(path).or_default();
                *attempt += 1;
                written.push(Written { path: path.to_owned(), attempt: *attempt, ..one });
            }
        }
        Ok(written)
    }
}

/// What is known of a process from how its step failed; which step, its caller knows.
fn of_error(error: &StepError) -> Option<Written> {
    of_value(error.details.as_ref()?)
}

fn of_value(value: &Value) -> Option<Written> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let (stdout, stderr) = (text("stdout")?, text("stderr")?);
    Some(Written { path: String::new(), attempt: 0, exit_code: value["exit_code"].as_i64(), stdout, stderr })
}
