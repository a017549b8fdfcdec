//! Questions about a run that need its plan.

use llmspell_workflows_basic::{StepError, StepPath, engine::Outcome, model::Effect};
use llmspell_workflows_state::{End, RewindError, Rewinding, RunState};
use serde_json::Value;

use super::Executor;
use crate::{ExecutorError, KnownRun};

/// The output of a process that a step ran.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessOutput {
    /// The path of the step.
    pub path: String,
    /// The attempt of the step, counted from 1.
    pub attempt: u32,
    /// The exit code; `None` if the process did not exit by itself.
    pub exit_code: Option<i64>,
    /// Its standard output; only the end of it if the process failed.
    pub stdout: String,
    /// Its standard error; only the end of it if the process failed.
    pub stderr: String,
}

impl Executor {
    /// Returns the state of a run as seen after the step `at`, or the current state if `at` is `None`.
    ///
    /// `at` is the path of the step or the end of it.
    ///
    /// # Errors
    /// The step does not exist, the definition does not run here, or the journal cannot be read.
    pub async fn state(&self, known: &KnownRun, at: Option<&str>) -> Result<Value, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        let rewinding = Rewinding::new(&plan, &records)?;
        let at = at.map(|given| rewinding.find(given)).transpose()?;
        Ok(rewinding.state(at.as_ref())?)
    }

    /// Returns the whole path of the step that `given`, its path or the end of it, names.
    ///
    /// # Errors
    /// No step or more than one matches; or fails like [`Self::state`].
    pub async fn find_step(&self, known: &KnownRun, given: &str) -> Result<String, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        Ok(Rewinding::new(&plan, &records)?.find(given)?.to_string())
    }

    /// Returns the output of the processes that a run's steps ran, in the order in which they ended.
    ///
    /// # Errors
    /// The definition does not run here, or the journal cannot be read.
    pub async fn process_outputs(&self, known: &KnownRun) -> Result<Vec<ProcessOutput>, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        let state = RunState::read(&records).map_err(|error| RewindError::Damaged(error.to_string()))?;
        let is_activity = |path: &str| {
            let path = path.parse::<StepPath>().ok();
            path.and_then(|path| plan.step(&path)).is_some_and(|step| step.kind.traits().effect == Effect::Activity)
        };
        let mut outputs = Vec::new();
        for (path, step) in state.steps().filter(|(path, _)| is_activity(path)) {
            let failed = step.failed_attempts().into_iter().map(|(number, error)| (number, output_of_error(error)));
            let ended = match (step.end_number(), step.end()) {
                (Some(number), Some(end)) => Some((number, output_of_end(&state, path, end)?)),
                _ => None,
            };
            let all = failed.chain(ended).filter_map(|(number, one)| Some((number, one?)));
            for (attempt, (number, one)) in (1..).zip(all) {
                outputs.push((number, ProcessOutput { path: path.to_owned(), attempt, ..one }));
            }
        }
        outputs.sort_unstable_by_key(|(number, _)| *number);
        Ok(outputs.into_iter().map(|(_, one)| one).collect())
    }
}

fn output_of_end(state: &RunState, path: &str, end: &End) -> Result<Option<ProcessOutput>, RewindError> {
    Ok(match state.outcome(path, end).map_err(RewindError::Damaged)? {
        Outcome::Completed(output) => output_of_value(&output.value),
        Outcome::Failed(failure) => output_of_error(&failure.error),
        Outcome::Skipped(_) | Outcome::Cancelled(_) | Outcome::Parked(_) | Outcome::Stuck(_) => None,
    })
}

/// Returns the process output in the details of a step's error; the caller sets path and attempt.
fn output_of_error(error: &StepError) -> Option<ProcessOutput> {
    output_of_value(error.details.as_ref()?)
}

fn output_of_value(value: &Value) -> Option<ProcessOutput> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let (stdout, stderr) = (text("stdout")?, text("stderr")?);
    Some(ProcessOutput { path: String::new(), attempt: 0, exit_code: value["exit_code"].as_i64(), stdout, stderr })
}
