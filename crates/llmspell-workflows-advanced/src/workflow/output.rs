use std::time::Duration;

use llmspell_workflows_basic::{Finished, Plan, WorkflowOutput, WorkflowState};
use llmspell_workflows_state::{History, JournalError, Record};
use uuid::Uuid;

use super::{AdvancedError, WorkflowExecution};
use crate::{AdvancedMetrics, ExecutorError, WorkflowEvent, home::events};

/// What a completed run gives, with what happened on the way.
#[derive(Debug, Clone)]
pub struct AdvancedWorkflowOutput {
    /// What a basic workflow gives.
    pub basic_output: WorkflowOutput,
    /// The run.
    pub run_id: Uuid,
    /// The state in which it ended.
    pub state_snapshot: Option<WorkflowState>,
    /// The session that it belongs to.
    pub session_id: Option<String>,
    /// All that has happened to it, out of its journal.
    pub execution_events: Vec<WorkflowEvent>,
    /// What it cost, and how well it went.
    pub performance_metrics: AdvancedMetrics,
    /// Past runs like it, where they are looked up.
    pub similar_executions: Vec<WorkflowExecution>,
}

impl AdvancedWorkflowOutput {
    /// That of `finished`, a run of `plan` with these records, in a process that had used `cpu` when it began.
    ///
    /// # Errors
    /// It did not do what it should, or its records make no sense.
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

/// The label that says to which session a run belongs.
pub(crate) const SESSION: &str = "session";

fn damaged(run: Uuid, message: String) -> ExecutorError {
    JournalError::Damaged { run, message }.into()
}
