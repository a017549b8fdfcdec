use std::time::Duration;

use llmspell_workflows_basic::{Finished, Plan, WorkflowOutput, WorkflowState};
use llmspell_workflows_state::{History, JournalError, Record};
use uuid::Uuid;

use super::{AdvancedError, WorkflowExecution};
use crate::{AdvancedMetrics, ExecutorError, WorkflowEvent, home::events};

/// The output of a completed run, with its events and metrics.
#[derive(Debug, Clone)]
pub struct AdvancedWorkflowOutput {
    /// The output of the basic workflow.
    pub basic_output: WorkflowOutput,
    /// The id of the run.
    pub run_id: Uuid,
    /// The final state.
    pub state_snapshot: Option<WorkflowState>,
    /// The session that contains the run.
    pub session_id: Option<String>,
    /// All events of the run, from its journal.
    pub execution_events: Vec<WorkflowEvent>,
    /// The metrics of the run.
    pub performance_metrics: AdvancedMetrics,
    /// Similar past runs, if the workflow looks up similar runs.
    pub similar_executions: Vec<WorkflowExecution>,
}

impl AdvancedWorkflowOutput {
    /// Builds the output of `finished`, a run of `plan`; `cpu` was the process's CPU time when it
    /// started or resumed the run.
    ///
    /// # Errors
    /// Returns an error if the run did not complete or its records are inconsistent.
    pub(super) fn of(
        finished: Finished,
        plan: &Plan,
        records: &[Record],
        cpu: Option<Duration>,
    ) -> Result<Self, AdvancedError> {
        let run = finished.run_id;
        let past = History::with_state(records).map_err(|message| damaged(run, message))?;
        let past = past.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))?;
        let performance_metrics = AdvancedMetrics::of(&finished, plan, &past, cpu);
        let (history, _) = past;
        let mut state = WorkflowState::new(history.started.input.clone());
        for change in &finished.state_changes {
            state.apply(change.clone(), finished.ended_at).map_err(|error| damaged(run, error.to_string()))?;
        }
        Ok(Self {
            basic_output: finished
                .into_output()
                .map_err(|error| AdvancedError::Ended { run, error: Box::new(error) })?,
            run_id: run,
            state_snapshot: Some(state),
            session_id: history.started.labels.get(SESSION).cloned(),
            execution_events: events(records),
            performance_metrics,
            similar_executions: Vec::new(),
        })
    }
}

/// The label that contains the session of a run.
pub(crate) const SESSION: &str = "session";

fn damaged(run: Uuid, message: String) -> ExecutorError {
    JournalError::Damaged { run, message }.into()
}
