//! Retries, reruns and forks runs.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{Plan, RunStatus, StepPath, WorkflowInput, engine::Child, model::Definition};
use llmspell_workflows_state::{
    Arrival, Epoch, Origin, Parent, Record, Resumption, RewindError, Rewinding, Rewound, Started,
};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, Redefinition, StartOptions, bring_in::Bringing, preview::Report, target::Target};
use crate::{ExecutorError, KnownRun, home::started};

/// The starting point and the input of a retry or a fork.
#[derive(Debug, Clone, Default)]
pub struct RewindOptions {
    /// The path or path suffix of the first step to run again; `None` starts at the failed steps.
    pub from: Option<String>,
    /// The input for the activity at `from`, in place of its evaluated parameters.
    pub step_input: Option<Value>,
    /// The definition under which the run continues; `None` keeps the current definition.
    pub definition: Option<Redefinition>,
}

impl Executor {
    /// Retries a failed run. Failed steps run again as their next generation, and completed steps
    /// are kept unless they have been undone.
    ///
    /// A failed sub-workflow is retried in the same way. In a run that was cancelled or
    /// compensated, only the failed steps of `finally` run again. Under another definition, changed
    /// steps also run again, together with the steps after them; see [`Self::preview`].
    ///
    /// # Errors
    /// Returns an error if the run has not failed, another process owns the run, the step does not exist or does not
    /// take an input, the run cannot continue under the other definition, or the journal cannot be read or written.
    pub async fn retry(&self, known: &KnownRun, options: &RewindOptions) -> Result<DurableRun, ExecutorError> {
        self.check_top_level(known).await?;
        self.check_retryable(known, options).await?;
        let mut bringing = self.inner.bring_in(known.id()).await?;
        // Another process may have retried the run before this one claimed it.
        let known = &bringing.look_again(known.id()).await?;
        self.check_retryable(known, options).await?;
        let target = self.target_of(known, options).await?;
        let mut report = Report::default();
        let again = Again::new(target.as_ref(), options);
        self.retry_in(known, "", again, &mut Some(&mut bringing), &mut report).await?;
        let lease = bringing.finish().await?;
        self.claim_and_open(known.id(), &lease, Resumption::Retried).await
    }

    /// Determines which steps [`Self::retry`] would repeat.
    pub(super) async fn preview_retry(
        &self,
        known: &KnownRun,
        options: &RewindOptions,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        self.check_top_level(known).await?;
        self.check_retryable(known, options).await?;
        let target = self.target_of(known, options).await?;
        self.retry_in(known, "", Again::new(target.as_ref(), options), &mut None, report).await
    }

    /// Checks that the run failed, or that a step of its `finally` failed although the run did not.
    async fn check_retryable(&self, known: &KnownRun, options: &RewindOptions) -> Result<(), ExecutorError> {
        match known.status() {
            RunStatus::Failed => Ok(()),
            RunStatus::Cancelled | RunStatus::Compensated if options.from.is_none() => {
                self.check_cleanup_failed(known).await
            }
            status => Err(ExecutorError::NotFailed { run: known.id(), status }),
        }
    }

    async fn check_cleanup_failed(&self, known: &KnownRun) -> Result<(), ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.plan_of(known.id(), &records).await?;
        let not_failed = |_| ExecutorError::NotFailed { run: known.id(), status: known.status() };
        Rewinding::new(&plan, &records)?.retry_cleanup().map_err(not_failed)
    }

    /// Adds the retried run to `bringing`, after its retried children.
    ///
    /// `around` is the path of the step that runs `known` as a sub-workflow.
    async fn retry_in(
        &self,
        known: &KnownRun,
        around: &str,
        again: Again<'_>,
        bringing: &mut Option<&mut Bringing<'_>>,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        let mut records = self.records_in(known, bringing).await?;
        let basis = self.basis(known.id(), &records, again.definition).await?;
        let mut rewinding = Rewinding::new(&basis.plan, &records)?;
        basis.keep(&mut rewinding, around, report)?;
        let mut partly_undone = Vec::new();
        // A cancelled sub-workflow is resumed along with its parent run.
        let only_finally =
            known.summary.parent.is_none() && matches!(known.status(), RunStatus::Cancelled | RunStatus::Compensated);
        match only_finally {
            true => rewinding.retry_cleanup()?,
            false => {
                rewind(&mut rewinding, again.target)?;
                partly_undone = self.repeat_undone(&basis.plan, &mut rewinding).await?;
            }
        }
        basis.correct(known.id(), &mut rewinding, around, only_finally, report)?;
        let mut inputs = BTreeMap::new();
        match again.target {
            Some(Target { step, inside: Some((child, inside)) }) => {
                let definition = basis.inner(step, child);
                let again = Again { target: Some(inside), definition: definition.as_ref(), ..again };
                Box::pin(self.retry_in(child, &format!("{around}{step}"), again, bringing, report)).await?;
            }
            Some(Target { step, inside: None }) => {
                inputs.extend(again.input.map(|input| (rewinding.rerun_path(step), Arc::new(input.clone()))));
            }
            None => {}
        }
        partly_undone.iter().for_each(|(path, _)| rewinding.reopen(path));
        // A step with several attempts resumes the child of its last attempt.
        let mut children: BTreeMap<_, _> = rewinding.unfinished_children().into_iter().collect();
        children.extend(partly_undone);
        // If the step would run again anyway, its sub-workflow runs with the new input.
        let restarts = |path: &StepPath| basis.restarts(path) || rewinding.follows_another(path);
        let is_target = |path: &StepPath| again.target.is_some_and(|target| target.step.contains(path));
        let children: Vec<_> = children.into_iter().filter(|(path, _)| !restarts(path) && !is_target(path)).collect();
        for (path, child) in children {
            let Some(child) = self.inner.home.get(child).await? else { continue };
            let definition = basis.inner(&path, &child);
            let inner = format!("{around}{path}");
            if self.retry_child(&child, &inner, definition.as_ref(), bringing, report).await? {
                rewinding.continue_in_place(&path);
                report.continues(&inner);
            }
        }
        basis.check(known.id(), &rewinding, around, report)?;
        let Some(bringing) = bringing else { return Ok(()) };
        let settled_messages = self.inner.home.last_message(known.id()).await?;
        let rewound = Rewound { inputs, settled_messages, ..rewinding.rewound(self.inner.engine.clock().now()) };
        records.push(Record::Rewound(Box::new(rewound)));
        self.redefine(known.id(), &mut records, &basis).await?;
        bringing.add(known.id(), records);
        Ok(())
    }

    /// Returns the records of a run from `bringing` if they are there, and otherwise from the home.
    pub(super) async fn records_in(
        &self,
        known: &KnownRun,
        bringing: &mut Option<&mut Bringing<'_>>,
    ) -> Result<Vec<Record>, ExecutorError> {
        match bringing {
            Some(bringing) => bringing.records(known).await,
            None => self.inner.home.records(known).await,
        }
    }

    /// Retries a failed or cancelled child; returns whether the child can continue.
    pub(super) async fn retry_child(
        &self,
        child: &KnownRun,
        around: &str,
        definition: Option<&Redefinition>,
        bringing: &mut Option<&mut Bringing<'_>>,
        report: &mut Report,
    ) -> Result<bool, ExecutorError> {
        match child.status() {
            RunStatus::Failed | RunStatus::Cancelled => {
                let again = Again { target: None, input: None, definition };
                Box::pin(self.retry_in(child, around, again, bringing, report)).await.map(|()| true)
            }
            status if status.has_ended() => Ok(false),
            // A resumable child must be in the journal of its parent.
            _ => self.resume_in_place(child, around, definition, bringing, report).await.map(|()| true),
        }
    }

    /// Runs the same workflow again from scratch, with the same input or a new input. No results are reused.
    ///
    /// If `definition` is given, it replaces the definition of `known`.
    ///
    /// # Errors
    /// Fails like [`Self::start`].
    pub async fn rerun(
        &self,
        known: &KnownRun,
        definition: Option<Arc<Definition>>,
        input: Option<Value>,
    ) -> Result<DurableRun, ExecutorError> {
        let started = self.inner.home.started(known).await?;
        let definition = match definition {
            Some(latest) => latest,
            None => Arc::new(self.inner.home.definition(&started.definition).await?),
        };
        let mut new = WorkflowInput::new(input.unwrap_or(started.input));
        new.starting_step = started.starting_step;
        let origin = Some(Origin { run: known.id(), path: None });
        let Started { environment, labels, grants, .. } = started;
        let start = StartOptions { environment, labels, origin, grants, ..StartOptions::default() };
        self.start(definition, new, start).await
    }

    /// Starts a new run that reuses the results of `known` up to the step at `from`.
    ///
    /// That step runs again, together with its dependents and all steps after it in the enclosing
    /// lists, routes and loops. Undone steps run again in the same way. The old run does not change
    /// and still owns its sub-workflows; the new run reuses their outputs.
    ///
    /// # Errors
    /// Returns an error if the step does not exist or does not take an input, or if a journal cannot be read or
    /// written.
    pub async fn fork(&self, known: &KnownRun, options: &RewindOptions) -> Result<DurableRun, ExecutorError> {
        let lease = self.inner.own_lease().await?;
        let id = Uuid::now_v7();
        let target = self.target_of(known, options).await?;
        let mut forks = Vec::new();
        let fork = Fork { id, parent: None };
        let again = Again::new(target.as_ref(), options);
        self.fork_in(known, "", again, &mut forks, fork, &mut Report::default()).await?;
        lease.journal.arrive(forks).await?;
        self.claim_and_open(id, &lease, Resumption::Forked).await
    }

    /// Determines which steps [`Self::fork`] would repeat.
    pub(super) async fn preview_fork(
        &self,
        known: &KnownRun,
        options: &RewindOptions,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        let target = self.target_of(known, options).await?;
        let fork = Fork { id: Uuid::now_v7(), parent: None };
        self.fork_in(known, "", Again::new(target.as_ref(), options), &mut Vec::new(), fork, report).await
    }

    /// Adds a fork of `known` to `forks`; a child that contains the step is forked as a child of the new run.
    async fn fork_in(
        &self,
        known: &KnownRun,
        around: &str,
        again: Again<'_>,
        forks: &mut Vec<Arrival>,
        fork: Fork,
        report: &mut Report,
    ) -> Result<(), ExecutorError> {
        let Fork { id, parent } = fork;
        let records = self.inner.home.records(known).await?;
        let started = started(known.id(), &records)?;
        let basis = self.basis(known.id(), &records, again.definition).await?;
        let mut rewinding = Rewinding::new(&basis.plan, &records)?;
        basis.keep(&mut rewinding, around, report)?;
        let mut inputs = started.inputs.clone();
        rewind(&mut rewinding, again.target)?;
        // A fork does not own its source's sub-workflows, so it cannot continue a partly undone one.
        let partly_undone = self.repeat_undone(&basis.plan, &mut rewinding).await?;
        partly_undone.iter().for_each(|(path, _)| rewinding.repeat_undone(path));
        basis.correct(known.id(), &mut rewinding, around, false, report)?;
        match again.target {
            Some(Target { step, inside: Some((child, inside)) }) => {
                let path = step.to_string();
                let around = format!("{around}{path}");
                let fork = Fork { id: Child::id(id, &path), parent: Some(Parent { run: id, path }) };
                let definition = basis.inner(step, child);
                let again = Again { target: Some(inside), definition: definition.as_ref(), ..again };
                Box::pin(self.fork_in(child, &around, again, forks, fork, report)).await?;
            }
            Some(Target { step, inside: None }) => {
                inputs.extend(again.input.map(|input| (step.to_string(), Arc::new(input.clone()))));
            }
            None => {}
        }
        basis.check(known.id(), &rewinding, around, report)?;
        let origin = Some(Origin { run: known.id(), path: again.target.map(Target::to_string) });
        let mut all = vec![Record::Started(Box::new(Started { origin, inputs, parent, ..started }))];
        all.extend(rewinding.fork_records(self.inner.engine.clock().now())?);
        self.redefine(id, &mut all, &basis).await?;
        forks.push(Arrival { run: id, after: Epoch::default(), records: all });
        Ok(())
    }

    /// Returns the step from which `options` start, after checking that the step takes the given
    /// input.
    async fn target_of(&self, known: &KnownRun, options: &RewindOptions) -> Result<Option<Target>, ExecutorError> {
        match (&options.from, &options.step_input) {
            (None, Some(_)) => Err(RewindError::InputForNoStep.into()),
            (None, None) => Ok(None),
            (Some(given), input) => {
                let target = self.target(known, given).await?;
                if input.is_some() {
                    self.check_input(known, &target).await?;
                }
                Ok(Some(target))
            }
        }
    }

    /// Returns the plan of a run according to its latest records.
    pub(super) async fn plan_of(&self, run: Uuid, records: &[Record]) -> Result<Arc<Plan>, ExecutorError> {
        Ok(self.inner.prepared_by_hash(&started(run, records)?.definition).await?.plan)
    }
}

/// Marks the steps that run again: `target` and everything after it, or the failed steps.
fn rewind(rewinding: &mut Rewinding<'_>, target: Option<&Target>) -> Result<(), RewindError> {
    match target {
        None => rewinding.retry()?,
        Some(Target { step, inside: Some(_) }) => rewinding.reopen(step),
        Some(Target { step, inside: None }) => rewinding.from(step),
    }
    Ok(())
}

/// The steps to run again, and the definition to run them under.
#[derive(Clone, Copy)]
struct Again<'a> {
    target: Option<&'a Target>,
    input: Option<&'a Value>,
    definition: Option<&'a Redefinition>,
}

impl<'a> Again<'a> {
    fn new(target: Option<&'a Target>, options: &'a RewindOptions) -> Self {
        Self { target, input: options.step_input.as_ref(), definition: options.definition.as_ref() }
    }
}

/// The identity of a forked run.
struct Fork {
    id: Uuid,
    parent: Option<Parent>,
}
