//! Resumes runs under a changed definition.

use std::{fmt, sync::Arc};

use llmspell_workflows_basic::{
    Engine, Plan, RunOptions, StepError, WorkflowInput, engine::Decision, model::Definition,
};
use llmspell_workflows_hooks::{Verdict, point::StateMigration};
use llmspell_workflows_state::{IllegalRecord, JournalError, Migrated, Record, Rewinding, RunState, Started};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DurableRun, Executor, drive::not_restored, prepared::PreparedDefinition};
use crate::{ExecutorError, KnownRun};

impl Executor {
    /// Resumes a run under a different definition, which must contain every recorded step.
    ///
    /// If `definition` has migrations and a different version, the state of the run is migrated first. If the migration
    /// fails, the run does not change.
    ///
    /// # Errors
    /// Fails like [`Self::resume`]. Also fails if `definition` lacks a recorded step or a migration from the run's
    /// version, or if a hook forbids the migration.
    pub async fn resume_with(
        &self,
        known: &KnownRun,
        definition: Arc<Definition>,
    ) -> Result<DurableRun, ExecutorError> {
        let PreparedDefinition { hash, plan, engine, .. } = self.inner.prepare_to_start(&definition).await?;
        let lease = self.lease_to_resume(known).await?;
        let journal = self.inner.journal_in(lease.journal.clone(), known.id()).await?;
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run: known.id() });
        }
        let records = self.inner.home.records(known).await?;
        let missing = Rewinding::new(&plan, &records)?.missing();
        if !missing.is_empty() {
            return Err(ExecutorError::MissingSteps { run: known.id(), paths: missing });
        }
        let started = Started::of(&records).ok_or_else(|| ExecutorError::UnknownRun(known.id().to_string()))?;
        let input = input_under(&engine, &plan, &started)?;
        let migrated = self.migrated(known, &plan, &records, (&started, &input)).await?;
        let now = self.inner.engine.clock().now();
        journal.redefine(now, hash.to_string(), definition.version.clone(), migrated).await?;
        drop(journal);
        self.resume_in(known, &lease).await
    }

    /// Migrates the state of a run to `plan`. Returns `None` if `plan` has no migrations or has the run's version.
    async fn migrated(
        &self,
        known: &KnownRun,
        plan: &Plan,
        records: &[Record],
        (started, input): (&Started, &Value),
    ) -> Result<Option<Migrated>, ExecutorError> {
        let (from, to) = (&started.version, &plan.definition().version);
        if from == to || plan.migrates_from().next().is_none() {
            return Ok(None);
        }
        self.inner.services.permit(StateMigration, known.id(), json!({"from": from, "to": to})).await?;
        check_answers(known.id(), records)?;
        let old = self.inner.prepared_by_hash(&started.definition).await?.plan;
        // The migration sees the secrets themselves; they are masked again when its result is recorded.
        let mut records = records.to_vec();
        for record in &mut records {
            record.restore_secrets(self.inner.engine.masker()).map_err(|reason| not_restored(&reason))?;
        }
        let migrate = |state: Value| plan.migrate(from, state, input).map_err(ExecutorError::Refused);
        Rewinding::new(&old, &records)?.migrated(migrate, |key| plan.renamed_key(from, key)).map(Some)
    }

    /// Checks that `known` was started with `definition`.
    ///
    /// # Errors
    /// Returns an error if the run was started with a different definition; the error shows the difference.
    pub async fn check_definition(&self, known: &KnownRun, definition: &Arc<Definition>) -> Result<(), ExecutorError> {
        if known.summary.definition == definition.hash() {
            return Ok(());
        }
        let old = Arc::new(self.inner.home.definition(&known.summary.definition).await?);
        Err(ExecutorError::Changed { run: known.id(), difference: Difference { old, new: definition.clone() } })
    }
}

/// Converts the run's input for `plan`; fails if the run cannot continue under `plan`.
fn input_under(engine: &Engine, plan: &Arc<Plan>, started: &Started) -> Result<Value, ExecutorError> {
    let mut input = WorkflowInput::new(started.input.clone());
    input.starting_step.clone_from(&started.starting_step);
    let options = RunOptions { environment: started.environment.clone(), ..RunOptions::default() };
    Ok(engine.start(plan, input, &options)?.input().clone())
}

/// Checks that no hook has changed the state before a step that has not ended, since that change cannot be migrated.
fn check_answers(run: Uuid, records: &[Record]) -> Result<(), ExecutorError> {
    let state = RunState::read(records).map_err(|error| damaged(run, &error))?;
    for (path, step) in state.steps().filter(|(_, step)| step.end().is_none()) {
        for (_, decision) in step.decisions() {
            let Decision::HookAnswer(_, _, answer) = decision else { continue };
            if serde_json::from_value::<Verdict>(Value::clone(answer)).is_ok_and(|verdict| !verdict.state.is_empty()) {
                let message =
                    "a hook changed the state before this step, which has not ended; the change cannot be migrated";
                let error = StepError::configuration("migration_failed", message).at(path);
                return Err(ExecutorError::Refused(error));
            }
        }
    }
    Ok(())
}

fn damaged(run: Uuid, error: &IllegalRecord) -> ExecutorError {
    JournalError::Damaged { run, message: error.to_string() }.into()
}

/// The difference between the definition of a run and another definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The definition that the run was started with.
    pub old: Arc<Definition>,
    /// The other definition.
    pub new: Arc<Definition>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |definition: &Definition| serde_json::to_string_pretty(definition).unwrap_or_default() + "\n";
        let (old, new) = (text(&self.old), text(&self.new));
        write!(f, "{}", similar::TextDiff::from_lines(&old, &new).unified_diff().context_radius(2))
    }
}
