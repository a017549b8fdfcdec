use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{RunStatus, StepError};
use uuid::Uuid;

use super::{Phase, RunState, StepState};
use crate::{
    End, Record, Suspension,
    store::{RunError, RunSummary},
};

impl RunSummary {
    /// Returns the summary of `run`, from its records or their [outlines](Record::outline), up to
    /// the first illegal record; `None` if the run was never started.
    ///
    /// A run that has not ended is waiting if a process left it waiting. Otherwise, a run is
    /// running or waiting if it has an `owner`, and paused or interrupted if it has none. It is
    /// paused if a pause was requested, and interrupted if not, whatever its steps were doing when
    /// the process died.
    #[must_use]
    pub fn of(run: Uuid, records: &[Record], owner: Option<&str>) -> Option<Self> {
        RunState::read_outline(records).summary(run, owner)
    }
}

impl RunState {
    /// Returns the summary of `run` in this state; `owner` is the process that owns the run, if
    /// any.
    #[must_use]
    pub fn summary(&self, run: Uuid, owner: Option<&str>) -> Option<RunSummary> {
        let started = self.started()?;
        let status = self.status(owner.is_some());
        let ended_at = self
            .closed()
            .map(|closed| started.at.checked_add(Duration::from_micros(closed.time_us)).unwrap_or(Timestamp::MAX));
        Some(RunSummary {
            id: run,
            workflow: started.workflow.clone(),
            version: started.version.clone(),
            definition: started.definition.clone(),
            status,
            started_at: started.at,
            updated_at: ended_at.unwrap_or(started.at),
            ended_at,
            wake_at: (status == RunStatus::Waiting).then(|| self.wake_at()).flatten(),
            error: self
                .error(status)
                .map(|error| RunError { code: error.code.to_string(), message: error.message.clone() }),
            parent: started.parent.as_ref().map(|parent| parent.run),
            labels: started.labels.clone(),
            owner: owner.map(str::to_owned),
        })
    }

    /// Returns the run's status; `is_owned` says whether a process owns the run.
    ///
    /// A stuck step makes the run stuck once no other step is executing or waiting.
    #[must_use]
    pub fn status(&self, is_owned: bool) -> RunStatus {
        if self.started().is_none() {
            return RunStatus::Pending;
        }
        if let Some(closed) = self.closed() {
            return match &closed.end {
                _ if closed.compensated => RunStatus::Compensated,
                End::Completed { .. } | End::Skipped(_) => RunStatus::Completed,
                End::Cancelled(_) => RunStatus::Cancelled,
                End::Failed(_) => RunStatus::Failed,
            };
        }
        if matches!(self.phase(), Phase::Suspended(Suspension::Waiting { .. })) {
            return RunStatus::Waiting;
        }
        if matches!(self.phase(), Phase::Suspended(Suspension::Stuck)) {
            return RunStatus::Stuck;
        }
        let is_executing = self.steps().any(|(_, step)| step.is_executing);
        let waits = self.steps().any(|(_, step)| step.waits().is_some());
        match (is_executing, waits, self.stuck_steps().next()) {
            (false, false, Some(_)) => RunStatus::Stuck,
            (false, true, _) if is_owned => RunStatus::Waiting,
            _ if is_owned => RunStatus::Running,
            _ if matches!(self.phase(), Phase::Suspended(Suspension::Paused)) => RunStatus::Paused,
            // Its steps may wait, but nothing would wake them, since no process left the run
            // waiting.
            _ => RunStatus::Interrupted,
        }
    }

    /// Returns the stuck steps, ordered by path.
    pub fn stuck_steps(&self) -> impl Iterator<Item = (&str, &StepError)> {
        let stuck: BTreeMap<_, _> =
            self.steps().filter_map(|(path, step)| step.stuck().map(|error| (path, error))).collect();
        stuck.into_iter()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.steps().filter_map(|(_, step)| StepState::waits(step)?.until).min()
    }

    fn error(&self, status: RunStatus) -> Option<&StepError> {
        match (status, self.closed()) {
            (RunStatus::Stuck, _) => self.stuck_steps().next().map(|(_, error)| error),
            (_, Some(closed)) => match &closed.end {
                End::Failed(failure) => Some(&failure.error),
                End::Completed { .. } | End::Skipped(_) | End::Cancelled(_) => None,
            },
            (_, None) => None,
        }
    }
}
