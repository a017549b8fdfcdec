//! Runs that go on from an earlier point, as themselves or as new runs.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{Plan, RunStatus, WorkflowInput, engine::Child, model::Definition};
use llmspell_workflows_state::{Origin, Parent, Record, Resumption, RewindError, Rewinding, Rewound, Started};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, StartOptions, start::check_own, target::Target};
use crate::{
    ExecutorError, KnownRun,
    home::{Lease, RunPlace},
};

/// From where a run happens again.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// The step, as its path or the end of it; none: what failed.
    pub from: Option<String>,
    /// What the activity there gets instead of what its parameters make.
    pub step_input: Option<Value>,
}

impl Executor {
    /// A failed run goes on: what failed runs again, as its next generation, and everything else stays. A failed step
    /// that is a run goes on in the same way.
    ///
    /// # Errors
    /// It has not failed, another process has it, the step is not there or takes no input, or the journal cannot be
    /// read or written.
    pub async fn retry(&self, known: &KnownRun, again: &Again) -> Result<DurableRun, ExecutorError> {
        check_own(known)?;
        if known.status() != RunStatus::Failed {
            return Err(ExecutorError::NotFailed { run: known.id(), status: known.status() });
        }
        let target = self.target_of(known, again).await?;
        let lease = self.retry_in(known, target.as_ref(), again.step_input.as_ref(), None).await?;
        self.take_up(known.id(), &lease, Resumption::Retried).await
    }

    async fn retry_in(
        &self,
        known: &KnownRun,
        target: Option<&Target>,
        input: Option<&Value>,
        around: Option<&Lease>,
    ) -> Result<Lease, ExecutorError> {
        let lease = self.ended_lease(known, around).await?;
        let here = KnownRun { place: RunPlace::Journal(lease.id.clone()), ..known.clone() };
        let records = self.inner.home.records(&here).await?;
        let plan = self.plan_of(known.id(), &records).await?;
        let mut rewinding = Rewinding::new(&plan, &records)?;
        rewind(&mut rewinding, target)?;
        let mut inputs = BTreeMap::new();
        // Children first: a run whose failed child goes on has not ended itself.
        match target {
            Some(Target { inside: Some((child, inside)), .. }) => {
                Box::pin(self.retry_in(child, Some(inside), input, Some(&lease))).await?;
            }
            Some(Target { step, inside: None }) => {
                inputs.extend(input.map(|input| (rewinding.rerun_path(step), Arc::new(input.clone()))));
            }
            None => {
                // Of a step that was tried more than once, the last run goes on.
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

    /// Lets a child go on that has failed or was cancelled, or that was about to; whether it can.
    async fn retry_child(&self, child: &KnownRun, lease: &Lease) -> Result<bool, ExecutorError> {
        match child.status() {
            RunStatus::Failed | RunStatus::Cancelled => {
                Box::pin(self.retry_in(child, None, None, Some(lease))).await.map(|_| true)
            }
            status => Ok(!status.has_ended()),
        }
    }

    /// A new run of what `known` ran, with the same input or another; nothing is reused.
    ///
    /// # Errors
    /// As [`Self::start`].
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
        let options = StartOptions { environment: started.environment, labels: started.labels, origin };
        self.start(definition, new, options).await
    }

    /// A new run that has everything in common with `known` but the step at `from`, what follows it in each list, route
    /// and loop around it, and its dependents. The old run does not change.
    ///
    /// # Errors
    /// The step is not there or takes no input, or a journal cannot be read or written.
    pub async fn fork(&self, known: &KnownRun, again: &Again) -> Result<DurableRun, ExecutorError> {
        let lease = self.inner.own_lease().await?;
        let id = Uuid::now_v7();
        let target = self.target_of(known, again).await?;
        self.fork_in(known, target.as_ref(), again.step_input.as_ref(), &lease, Fork { id, parent: None }).await?;
        self.take_up(id, &lease, Resumption::Forked).await
    }

    /// Makes a fork of `known`; where the step is in a child, that is forked as a child of the new run.
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
        Ok(lease.take_in(id, &all).await?)
    }

    /// The step from which on `again` lets a run happen again, which takes the input that it gives.
    async fn target_of(&self, known: &KnownRun, again: &Again) -> Result<Option<Target>, ExecutorError> {
        match (&again.from, &again.step_input) {
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

    /// What a run executes, as its records say last.
    pub(super) async fn plan_of(&self, run: Uuid, records: &[Record]) -> Result<Arc<Plan>, ExecutorError> {
        Ok(self.inner.recalled(&started(run, records)?.definition).await?.plan)
    }

    async fn started(&self, known: &KnownRun) -> Result<Started, ExecutorError> {
        started(known.id(), &self.inner.home.records(known).await?)
    }

    /// The journal that a run which has ended is in, brought back from the store where that has it.
    ///
    /// A child goes where the run `around` it is.
    pub(super) async fn ended_lease(&self, known: &KnownRun, around: Option<&Lease>) -> Result<Lease, ExecutorError> {
        let RunPlace::Journal(journal) = &known.place else { return self.brought_back(known, around).await };
        let lease = self.inner.lease_of(known.id(), journal).await?;
        // It is not moved to the store while it is retried.
        let _archiving = self.inner.archiving.lock().await;
        if let Some(ended) = self.inner.registry.runs().ended.get_mut(journal) {
            ended.runs.retain(|run| *run != known.id());
        }
        if !lease.journal.runs().contains(&known.id()) {
            return self.brought_back(known, around).await;
        }
        let Some(around) = around.filter(|around| around.id != lease.id) else { return Ok(lease) };
        let opened = lease.journal.open(known.id()).await?;
        around.take_in(known.id(), &opened.records).await?;
        lease.journal.forget(&[(known.id(), opened.epoch)]).await?;
        Ok(around.clone())
    }

    async fn brought_back(&self, known: &KnownRun, around: Option<&Lease>) -> Result<Lease, ExecutorError> {
        let records = self.inner.home.records(&KnownRun { place: RunPlace::Archive, ..known.clone() }).await?;
        let lease = match around {
            Some(around) => around.clone(),
            None => self.inner.own_lease().await?,
        };
        lease.take_in(known.id(), &records).await?;
        Ok(lease)
    }
}

/// Notes what happens again: from `target` on, or what failed.
fn rewind(rewinding: &mut Rewinding<'_>, target: Option<&Target>) -> Result<(), RewindError> {
    match target {
        None => rewinding.retry()?,
        Some(Target { step, inside: Some(_) }) => rewinding.reopen(step),
        Some(Target { step, inside: None }) => rewinding.from(step),
    }
    Ok(())
}

/// A new run that is made of an old one.
struct Fork {
    id: Uuid,
    parent: Option<Parent>,
}

fn started(run: Uuid, records: &[Record]) -> Result<Started, ExecutorError> {
    Started::of(records).ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
}
