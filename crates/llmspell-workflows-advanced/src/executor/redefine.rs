//! Continues runs under another definition: a corrected one, or a new version that migrates the state.

use std::{collections::BTreeSet, sync::Arc};

use llmspell_workflows_basic::{
    Engine, Plan, RunOptions, RunStatus, StepError, StepPath, WorkflowInput,
    engine::Decision,
    model::{ChangedNames, Definition, StepChange},
};
use llmspell_workflows_hooks::{Verdict, point::StateMigration};
use llmspell_workflows_state::{
    Correction, IllegalRecord, JournalError, Migrated, Record, Redefined, RewindError, Rewinding, RunState, Started,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Executor, bring_in::Bringing, drive::not_restored, preview::Report};
use crate::{ExecutorError, KnownRun, home::started};

/// Another definition, under which a run continues.
#[derive(Debug, Clone)]
pub struct Redefinition {
    /// The definition.
    pub definition: Arc<Definition>,
    /// The changed steps whose results are kept: paths or suffixes of paths, with or without
    /// iteration numbers.
    pub keep: Vec<String>,
}

impl From<Arc<Definition>> for Redefinition {
    fn from(definition: Arc<Definition>) -> Self {
        Self { definition, keep: Vec::new() }
    }
}

/// The plan under which a run continues.
pub(super) struct Basis {
    pub(super) plan: Arc<Plan>,
    keep: Vec<String>,
    /// The change of the definition, if it changes.
    pub(super) change: Option<Change>,
}

/// A change of a run's definition.
pub(super) struct Change {
    old: Arc<Plan>,
    /// The hash of the new definition.
    pub(super) hash: Arc<str>,
    names: ChangedNames,
    /// The run's input, converted for the new definition.
    input: Value,
    /// Whether the new definition migrates the state of the run. If so, all results are kept; if
    /// not, changed steps run again.
    migrates: bool,
}

impl Basis {
    /// Keeps the requested steps. Called before steps are marked to run again.
    pub(super) fn keep(
        &self,
        rewinding: &mut Rewinding<'_>,
        around: &str,
        report: &mut Report,
    ) -> Result<(), RewindError> {
        for keep in &self.keep {
            if rewinding.keep(around, keep)? {
                report.matched.insert(keep.clone());
            }
        }
        Ok(())
    }

    /// Marks the steps that run again because the definition has changed.
    pub(super) fn correct(
        &self,
        run: Uuid,
        rewinding: &mut Rewinding<'_>,
        around: &str,
        only_finally: bool,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        let Some(Change { old, names, migrates, .. }) = &self.change else {
            report.add_unchanged(around, rewinding);
            return Ok(());
        };
        if *migrates {
            let missing = rewinding.missing();
            return if missing.is_empty() { Ok(()) } else { Err(ExecutorError::MissingSteps { run, paths: missing }) };
        }
        let corrected = rewinding.correct(&Correction { old, names, only_finally });
        report.add(around, &corrected, rewinding.runs_again(Some(old)));
        Ok(())
    }

    /// Checks that the run can continue: each step to keep was found, and no at-most-once step runs
    /// again.
    pub(super) fn check(
        &self,
        run: Uuid,
        rewinding: &Rewinding<'_>,
        around: &str,
        report: &Report,
    ) -> Result<(), ExecutorError> {
        if !around.is_empty() {
            return Ok(());
        }
        if let Some(unknown) = self.keep.iter().find(|keep| !report.matched.contains(*keep)) {
            let error = RewindError::UnknownStep { given: unknown.clone(), known: Vec::new() };
            return Err(rewinding.find(unknown).err().unwrap_or(error).into());
        }
        if self.change.is_some() { report.check_at_most_once(run) } else { Ok(()) }
    }

    /// Returns the redefinition of `child`, which the step at `path` runs as its sub-workflow;
    /// `None` if the child already has the definition of the sub-workflow.
    ///
    /// The child's definition may also differ if the run's definition does not change now: when it
    /// changed earlier, the child may have ended without the step noticing.
    pub(super) fn inner(&self, path: &StepPath, child: &KnownRun) -> Option<Redefinition> {
        let plan = self.plan.sub_plan(path)?;
        let is_same = child.summary.definition == plan.definition_hash();
        (!is_same).then(|| Redefinition { definition: plan.definition().clone(), keep: self.keep.clone() })
    }

    /// Returns whether the failed sub-workflow of the step at `path` starts over because the step
    /// has changed.
    pub(super) fn restarts(&self, path: &StepPath) -> bool {
        let Some(Change { old, names, .. }) = &self.change else { return false };
        let steps = old.step(path).zip(self.plan.step(path));
        steps.is_some_and(|(old, new)| old.change_to(new) == StepChange::Work || new.reads(names).is_some())
    }
}

impl Executor {
    /// Returns the plan under which a run with these records continues.
    ///
    /// # Errors
    /// Returns an error if the new definition is not valid or the run's input does not fit it.
    pub(super) async fn basis(
        &self,
        run: Uuid,
        records: &[Record],
        new: Option<&Redefinition>,
    ) -> Result<Basis, ExecutorError> {
        let started = started(run, records)?;
        let old = self.inner.prepared_by_hash(&started.definition).await?;
        let Some(new) = new else { return Ok(Basis { plan: old.plan, keep: Vec::new(), change: None }) };
        if new.definition.name != started.workflow {
            let message = format!("the run executes `{}`, not `{}`", started.workflow, new.definition.name);
            return Err(StepError::configuration("other_workflow", message).into());
        }
        let ready = self.inner.prepare_to_start(&new.definition).await?;
        if *ready.hash == *started.definition {
            return Ok(Basis { plan: old.plan, keep: new.keep.clone(), change: None });
        }
        let input = input_under(&ready.engine, &ready.plan, &started)?;
        let former = input_under(&old.engine, &old.plan, &started)?;
        let environment = started.environment.as_deref();
        let names =
            ChangedNames::between(&old.definition, &ready.definition, environment, differing_fields(&former, &input));
        let migrates = started.version != ready.definition.version && ready.plan.migrates_from().next().is_some();
        let change = Change { old: old.plan, hash: ready.hash, names, input, migrates };
        Ok(Basis { plan: ready.plan, keep: new.keep.clone(), change: Some(change) })
    }

    /// Adds a run to `bringing`, after its sub-workflows; the run continues where it stopped.
    pub(super) async fn resume_in_place(
        &self,
        known: &KnownRun,
        around: &str,
        new: Option<&Redefinition>,
        bringing: &mut Option<&mut Bringing<'_>>,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        let mut records = self.records_in(known, bringing).await?;
        let basis = self.basis(known.id(), &records, new).await?;
        let mut rewinding = Rewinding::new(&basis.plan, &records)?;
        basis.keep(&mut rewinding, around, report)?;
        let ended = match &basis.change {
            Some(_) => self.changed_children(&basis, &mut rewinding).await?,
            None => Vec::new(),
        };
        basis.correct(known.id(), &mut rewinding, around, false, report)?;
        for (path, child) in ended.into_iter().filter(|(path, _)| !rewinding.loses_child(path)) {
            let (inner, definition) = (format!("{around}{path}"), basis.inner(&path, &child));
            Box::pin(self.retry_child(&child, &inner, definition.as_ref(), bringing, report)).await?;
        }
        let mut lost = Vec::new();
        for (path, child) in rewinding.children() {
            let Some(child) = self.inner.home.get(child).await?.filter(|child| !child.status().has_ended()) else {
                continue;
            };
            let inner = format!("{around}{path}");
            if rewinding.loses_child(&path) {
                lost.push(inner);
                continue;
            }
            // Even an unchanged sub-workflow must be in the journal of its parent.
            let definition = basis.inner(&path, &child);
            Box::pin(self.resume_in_place(&child, &inner, definition.as_ref(), bringing, report)).await?;
        }
        if !lost.is_empty() {
            let why = "these steps have started sub-workflows that have not ended, and would start them again";
            return Err(ExecutorError::CannotRunAgain { run: known.id(), why, paths: lost });
        }
        basis.check(known.id(), &rewinding, around, report)?;
        let Some(bringing) = bringing else { return Ok(()) };
        let interrupted = rewinding.interrupted();
        if basis.change.is_some() && !interrupted.is_empty() {
            // Leftovers of such a step would no longer be found once the step runs again under
            // another path.
            let left = self.inner.engine.activities().end_leftovers(known.id(), &interrupted).await;
            if !left.is_empty() {
                return Err(ExecutorError::StillRunning { run: known.id(), left });
            }
        }
        if !rewinding.is_unchanged() {
            let rewound = rewinding.rewound(self.inner.engine.clock().now());
            records.push(Record::Rewound(Box::new(rewound)));
        }
        self.redefine(known.id(), &mut records, &basis).await?;
        bringing.add(known.id(), records);
        Ok(())
    }

    /// Finds the changed sub-workflows that ended before the process died and whose steps have not
    /// noticed that. The steps of completed ones run again; failed ones are returned, to be retried.
    async fn changed_children(
        &self,
        basis: &Basis,
        rewinding: &mut Rewinding<'_>,
    ) -> Result<Vec<(StepPath, KnownRun)>, ExecutorError> {
        let mut failed = Vec::new();
        for (path, child) in rewinding.current_children() {
            let Some(child) = self.inner.home.get(child).await? else { continue };
            match child.status() {
                _ if basis.inner(&path, &child).is_none() => {}
                RunStatus::Completed => rewinding.run_again(&path),
                RunStatus::Failed => failed.push((path, child)),
                _ => {}
            }
        }
        Ok(failed)
    }

    /// Adds the record that changes the definition to `records`, with the migrated state.
    pub(super) async fn redefine(
        &self,
        run: Uuid,
        records: &mut Vec<Record>,
        basis: &Basis,
    ) -> Result<(), ExecutorError> {
        let Some(change) = &basis.change else { return Ok(()) };
        let migrated = self.migrated(run, basis, change, records).await?;
        let state = RunState::read(records).map_err(|error| damaged(run, &error))?;
        let time_us = state.time_us(self.inner.engine.clock().now());
        let version = basis.plan.definition().version.clone();
        let redefined = Redefined { time_us, definition: change.hash.to_string(), version, migrated };
        records.push(Record::Redefined(Box::new(redefined)));
        Ok(())
    }

    /// Migrates the state of a run to the new definition; returns `None` if the definition has no
    /// migrations.
    async fn migrated(
        &self,
        run: Uuid,
        basis: &Basis,
        change: &Change,
        records: &[Record],
    ) -> Result<Option<Migrated>, ExecutorError> {
        if !change.migrates {
            return Ok(None);
        }
        let plan = &basis.plan;
        let (from, to) = (&change.old.definition().version, &plan.definition().version);
        self.inner.services.permit(StateMigration, run, json!({"from": from, "to": to})).await?;
        check_answers(run, records)?;
        // The migration sees the plain secrets. They are masked again when the result is recorded.
        let mut records = records.to_vec();
        for record in &mut records {
            record.restore_secrets(self.inner.engine.masker()).map_err(|reason| not_restored(&reason))?;
        }
        let migrate = |state: Value| plan.migrate(from, state, &change.input).map_err(ExecutorError::Refused);
        Rewinding::new(&change.old, &records)?.migrated(migrate, |key| plan.renamed_key(from, key)).map(Some)
    }
}

/// Returns the fields that have different values in two inputs.
fn differing_fields<'v>(one: &'v Value, other: &'v Value) -> BTreeSet<&'v str> {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return BTreeSet::new() };
    let names = one.keys().chain(other.keys()).map(String::as_str);
    names.filter(|name| one.get(*name) != other.get(*name)).collect()
}

/// Converts the run's input for `plan`; fails if the run cannot continue under `plan`.
fn input_under(engine: &Engine, plan: &Arc<Plan>, started: &Started) -> Result<Value, ExecutorError> {
    let mut input = WorkflowInput::new(started.input.clone());
    input.starting_step.clone_from(&started.starting_step);
    let options = RunOptions { environment: started.environment.clone(), ..RunOptions::default() };
    Ok(engine.start(plan, input, &options)?.input().clone())
}

/// Checks that no hook has changed the state before an unfinished step, since such a change
/// cannot be migrated.
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
