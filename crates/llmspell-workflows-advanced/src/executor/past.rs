//! What can be told of runs with the help of their plans.

use llmspell_workflows_basic::{StepError, StepPath, engine::Outcome, model::Effect};
use llmspell_workflows_state::{End, RewindError, Rewinding, RunState};
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
        let rewinding = Rewinding::new(&plan, &records)?;
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
        Ok(Rewinding::new(&plan, &records)?.find(given)?.to_string())
    }

    /// What the processes of a run's steps wrote, in the order in which they ended.
    ///
    /// # Errors
    /// The definition does not run here, or the journal cannot be read.
    pub async fn written(&self, known: &KnownRun) -> Result<Vec<Written>, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.recalled(&known.summary.definition).await?.plan;
        let state = RunState::read(&records).map_err(|error| RewindError::Damaged(error.to_string()))?;
        let is_activity = |path: &str| {
            let path = path.parse::<StepPath>().ok();
            path.and_then(|path| plan.step(&path)).is_some_and(|step| step.kind.traits().effect == Effect::Activity)
        };
        let mut written = Vec::new();
        for (path, step) in state.steps().filter(|(path, _)| is_activity(path)) {
            let failed = step.failed_attempts().into_iter().map(|(number, error)| (number, of_error(error)));
            let ended = match (step.end_number(), step.end()) {
                (Some(number), Some(end)) => Some((number, of_end(&state, path, end)?)),
                _ => None,
            };
            let all = failed.chain(ended).filter_map(|(number, one)| Some((number, one?)));
            for (attempt, (number, one)) in (1..).zip(all) {
                written.push((number, Written { path: path.to_owned(), attempt, ..one }));
            }
        }
        written.sort_unstable_by_key(|(number, _)| *number);
        Ok(written.into_iter().map(|(_, one)| one).collect())
    }
}

fn of_end(state: &RunState, path: &str, end: &End) -> Result<Option<Written>, RewindError> {
    Ok(match state.outcome(path, end).map_err(RewindError::Damaged)? {
        Outcome::Completed(output) => of_value(&output.value),
        Outcome::Failed(failure) => of_error(&failure.error),
        Outcome::Skipped(_) | Outcome::Cancelled(_) | Outcome::Parked(_) | Outcome::Stuck(_) => None,
    })
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
