//! Retries, reruns and forks runs.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{Plan, RunStatus, WorkflowInput, engine::Child, model::Definition};
use llmspell_workflows_state::{Origin, Parent, Record, Resumption, RewindError, Rewinding, Rewound, Started};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, StartOptions, start::check_top_level, target::Target};
use crate::{
    ExecutorError, KnownRun,
    home::{Lease, RunLocation},
};

/// Where a retry or a fork begins, and the input that it begins with.
#[derive(Debug, Clone, Default)]
pub struct RewindOptions {
    /// The path of the step to begin at, or a suffix of it; `None` begins at the failed steps.
    pub from: Option<String>,
    /// The input for the activity at `from`, in place of its evaluated parameters.
    pub step_input: Option<Value>,
}

impl Executor {
    /// Retries a failed run: failed steps run again as their next generation; completed steps are kept.
    ///
    /// A failed sub-workflow is retried in the same way. In a run that was cancelled or compensated, only the failed
    /// steps of `finally` run again.
    ///
    /// # Errors
    /// Returns an error if the run has not failed, another process owns the run, the step does not exist or does not
    /// take an input, or the journal cannot be read or written.
    pub async fn retry(&self, known: &KnownRun, options: &RewindOptions) -> Result<DurableRun, ExecutorError> {
        check_top_level(known)?;
        match known.status() {
            RunStatus::Failed => {}
            RunStatus::Cancelled | RunStatus::Compensated if options.from.is_none() => {
                self.check_cleanup_failed(known).await?;
            }
            status => return Err(ExecutorError::NotFailed { run: known.id(), status }),
        }
        let target = self.target_of(known, options).await?;
        let lease = self.retry_in(known, target.as_ref(), options.step_input.as_ref(), None).await?;
        self.claim_and_open(known.id(), &lease, Resumption::Retried).await
    }

    /// Checks that a step of the run's `finally` failed, although the run did not.
    async fn check_cleanup_failed(&self, known: &KnownRun) -> Result<(), ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.plan_of(known.id(), &records).await?;
        let not_failed = |_| ExecutorError::NotFailed { run: known.id(), status: known.status() };
        Rewinding::new(&plan, &records)?.retry_cleanup().map_err(not_failed)
    }

    async fn retry_in(
        &self,
        known: &KnownRun,
        target: Option<&Target>,
        input: Option<&Value>,
        around: Option<&Lease>,
    ) -> Result<Lease, ExecutorError> {
        let lease = self.lease_ended_run(known, around).await?;
        let here = KnownRun { location: RunLocation::Journal(lease.id.clone()), ..known.clone() };
        let records = self.inner.home.records(&here).await?;
        let plan = self.plan_of(known.id(), &records).await?;
        let mut rewinding = Rewinding::new(&plan, &records)?;
        // A cancelled sub-workflow is resumed, since its parent run is.
        match known.status() {
            RunStatus::Cancelled | RunStatus::Compensated if around.is_none() => rewinding.retry_cleanup()?,
            _ => rewind(&mut rewinding, target)?,
        }
        let mut inputs = BTreeMap::new();
        // Retry the children first: a run with a retried child has not ended.
        match target {
            Some(Target { inside: Some((child, inside)), .. }) => {
                Box::pin(self.retry_in(child, Some(inside), input, Some(&lease))).await?;
            }
            Some(Target { step, inside: None }) => {
                inputs.extend(input.map(|input| (rewinding.rerun_path(step), Arc::new(input.clone()))));
            }
            None => {
                // A step with several attempts resumes the child of its last attempt.
                let children: BTreeMap<_, _> = rewinding.failed_children().into_iter().collect();
                for (path, child) in children {
                    let Some(child) = self.inner.home.get(child).await? else { continue };
                    if self.retry_child(&child, &lease).await? {
                        rewinding.continue_in_place(&path);
                    }
                }
            }
        }
        let rewound = Rewound { inputs, ..rewinding.rewound(self.inner.engine.clock().now()) };
        let journal = self.inner.journal_in(lease.journal.clone(), known.id()).await?;
        journal.rewind(rewound).await?;
        Ok(lease)
    }

    /// Retries a failed or cancelled child; returns whether the child can continue.
    async fn retry_child(&self, child: &KnownRun, lease: &Lease) -> Result<bool, ExecutorError> {
        match child.status() {
            RunStatus::Failed | RunStatus::Cancelled => {
                Box::pin(self.retry_in(child, None, None, Some(lease))).await.map(|_| true)
            }
            status => Ok(!status.has_ended()),
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
        let started = self.started(known).await?;
        let definition = match definition {
            Some(latest) => latest,
            None => Arc::new(self.inner.home.definition(&started.definition).await?),
        };
        let mut new = WorkflowInput::new(input.unwrap_or(started.input));
        new.starting_step = started.starting_step;
        let origin = Some(Origin { run: known.id(), path: None });
        let (environment, labels) = (started.environment, started.labels);
        let start = StartOptions { environment, labels, origin, ..StartOptions::default() };
        self.start(definition, new, start).await
    }

    /// Starts a new run that reuses the results of `known` up to the step at `from`.
    ///
    /// Runs that step again, together with its dependents and all steps after it in the enclosing lists, routes and
    /// loops. The old run does not change.
    ///
    /// # Errors
    /// Returns an error if the step does not exist or does not take an input, or if a journal cannot be read or
    /// written.
    pub async fn fork(&self, known: &KnownRun, options: &RewindOptions) -> Result<DurableRun, ExecutorError> {
        let lease = self.inner.own_lease().await?;
        let id = Uuid::now_v7();
        let target = self.target_of(known, options).await?;
        self.fork_in(known, target.as_ref(), options.step_input.as_ref(), &lease, Fork { id, parent: None }).await?;
        self.claim_and_open(id, &lease, Resumption::Forked).await
    }

    /// Forks `known`; a child that contains the step is forked as a child of the new run.
    async fn fork_in(
        &self,
        known: &KnownRun,
        target: Option<&Target>,
        input: Option<&Value>,
        lease: &Lease,
        fork: Fork,
    ) -> Result<(), ExecutorError> {
        let Fork { id, parent } = fork;
        let records = self.inner.home.records(known).await?;
        let started = started(known.id(), &records)?;
        let plan = self.plan_of(known.id(), &records).await?;
        let mut rewinding = Rewinding::new(&plan, &records)?;
        let mut inputs = started.inputs.clone();
        rewind(&mut rewinding, target)?;
        match target {
            Some(Target { step, inside: Some((child, inside)) }) => {
                let path = step.to_string();
                let fork = Fork { id: Child::id(id, &path), parent: Some(Parent { run: id, path }) };
                Box::pin(self.fork_in(child, Some(inside), input, lease, fork)).await?;
            }
            Some(Target { step, inside: None }) => {
                inputs.extend(input.map(|input| (step.to_string(), Arc::new(input.clone()))));
            }
            None => {}
        }
        let origin = Some(Origin { run: known.id(), path: target.map(Target::to_string) });
        let mut all = vec![Record::Started(Box::new(Started { origin, inputs, parent, ..started }))];
        all.extend(rewinding.fork_records(self.inner.engine.clock().now())?);
        Ok(lease.import(id, &all).await?)
    }

    /// Returns the step at which `options` begin; checks that the step takes the given input.
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

    /// Returns the plan that a run executes according to its latest records.
    pub(super) async fn plan_of(&self, run: Uuid, records: &[Record]) -> Result<Arc<Plan>, ExecutorError> {
        Ok(self.inner.prepared_by_hash(&started(run, records)?.definition).await?.plan)
    }

    async fn started(&self, known: &KnownRun) -> Result<Started, ExecutorError> {
        started(known.id(), &self.inner.home.records(known).await?)
    }

    /// Leases the journal of an ended run; if necessary, restores the run from the archive first.
    ///
    /// A child is moved to the journal of its parent, `around`.
    pub(super) async fn lease_ended_run(
        &self,
        known: &KnownRun,
        around: Option<&Lease>,
    ) -> Result<Lease, ExecutorError> {
        let RunLocation::Journal(journal) = &known.location else {
            return self.restore_from_archive(known, around).await;
        };
        let lease = self.inner.lease_of(known.id(), journal).await?;
        // Keep the run out of the archive while it is retried.
        let _archiving = self.inner.archiving.lock().await;
        if let Some(ended) = self.inner.registry.runs().ended.get_mut(journal) {
            ended.runs.retain(|run| *run != known.id());
        }
        if !lease.journal.runs().contains(&known.id()) {
            return self.restore_from_archive(known, around).await;
        }
        let Some(around) = around.filter(|around| around.id != lease.id) else { return Ok(lease) };
        let opened = lease.journal.open(known.id()).await?;
        around.import(known.id(), &opened.records).await?;
        lease.journal.forget(&[(known.id(), opened.epoch)]).await?;
        Ok(around.clone())
    }

    async fn restore_from_archive(&self, known: &KnownRun, around: Option<&Lease>) -> Result<Lease, ExecutorError> {
        let records = self.inner.home.records(&KnownRun { location: RunLocation::Archive, ..known.clone() }).await?;
        let lease = match around {
            Some(around) => around.clone(),
            None => self.inner.own_lease().await?,
        };
        lease.import(known.id(), &records).await?;
        Ok(lease)
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

/// The identity of a forked run.
struct Fork {
    id: Uuid,
    parent: Option<Parent>,
}

fn started(run: Uuid, records: &[Record]) -> Result<Started, ExecutorError> {
    Started::of(records).ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
}
