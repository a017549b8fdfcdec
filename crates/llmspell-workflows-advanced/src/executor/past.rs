//! Queries about past states and steps of a run, which need the run's plan.

use std::sync::Arc;

use llmspell_workflows_basic::{
    BytesForm, StepError, StepPath,
    engine::Outcome,
    model::{Definition, Effect},
};
use llmspell_workflows_state::{End, RewindError, Rewinding, RunState};
use serde_json::Value;

use super::Executor;
use crate::{ExecutorError, KnownRun};

/// The output of a process that a step executed.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessOutput {
    /// The path of the step.
    pub path: String,
    /// The attempt of the step, counted from 1.
    pub attempt: u32,
    /// The exit code; `None` if the process did not exit on its own.
    pub exit_code: Option<i64>,
    /// The standard output of the process; only the end of the output if the process failed.
    pub stdout: String,
    /// Whether `stdout` is the output itself or its base64.
    pub stdout_form: BytesForm,
    /// The standard error of the process; only the end of the output if the process failed.
    pub stderr: String,
    /// Whether `stderr` is the output itself or its base64.
    pub stderr_form: BytesForm,
}

impl Executor {
    /// Returns the definition of a run; resuming the run later does not read it again.
    ///
    /// # Errors
    /// Returns an error if the definition is missing from the home or cannot run on this executor.
    pub async fn definition(&self, known: &KnownRun) -> Result<Arc<Definition>, ExecutorError> {
        Ok(self.inner.prepared_by_hash(&known.summary.definition).await?.definition)
    }

    /// Returns the state of a run after the step `at`, or the current state if `at` is `None`.
    ///
    /// `at` is the step's path or a suffix of it.
    ///
    /// # Errors
    /// Returns an error if the step does not exist, this executor cannot run the definition, or the journal cannot be
    /// read.
    pub async fn state(&self, known: &KnownRun, at: Option<&str>) -> Result<Value, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        let rewinding = Rewinding::new(&plan, &records)?;
        let at = at.map(|given| rewinding.find(given)).transpose()?;
        Ok(rewinding.state(at.as_ref())?)
    }

    /// Returns the full path of the step that `given` identifies; `given` is the step's path or a suffix of it.
    ///
    /// # Errors
    /// Returns an error if no step or more than one step matches `given`. Also fails like [`Self::state`].
    pub async fn find_step(&self, known: &KnownRun, given: &str) -> Result<String, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        Ok(Rewinding::new(&plan, &records)?.find(given)?.to_string())
    }

    /// Returns the outputs of the processes that a run's steps executed, in the order in which the processes ended.
    ///
    /// # Errors
    /// Returns an error if this executor cannot run the definition, or the journal cannot be read.
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

/// Returns the process output in the details of a step's error; the caller sets the path and the attempt.
fn output_of_error(error: &StepError) -> Option<ProcessOutput> {
    output_of_value(error.details.as_ref()?)
}

fn output_of_value(value: &Value) -> Option<ProcessOutput> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let form = |name: &str| value.get(name).and_then(Value::as_str).and_then(BytesForm::from_name);
    Some(ProcessOutput {
        path: String::new(),
        attempt: 0,
        exit_code: value["exit_code"].as_i64(),
        stdout: text("stdout")?,
        stdout_form: form("stdout_type").unwrap_or(BytesForm::Text),
        stderr: text("stderr")?,
        stderr_form: form("stderr_type").unwrap_or(BytesForm::Text),
    })
}
