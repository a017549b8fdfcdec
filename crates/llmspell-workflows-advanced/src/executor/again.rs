//! Runs that go on from an earlier point, as themselves or as new runs.

use std::sync::Arc;

use llmspell_workflows_basic::{Plan, RunStatus, StepPath, WorkflowInput, engine::Child, model::Definition};
use llmspell_workflows_hooks::event::Entry;
use llmspell_workflows_state::{Origin, Parent, Record, RewindError, Rewinding, RunJournal, Started};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, StartOptions, lock, start::check_own};
use crate::{
    ExecutorError, KnownRun,
    home::{Claim, Place},
};

/// From where a run happens again.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// The step, as its path or the end of it; none: what failed.
    pub from: Option<String>,
    /// What the activity there gets instead of what its parameters make.
    pub step_input: Option<Value>,
}

/// The step from which on a run happens again; and where that is a run itself, which, and from where in it.
type Target = (Option<StepPath>, Option<(KnownRun, Again)>);

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
        let claim = self.retry_in(known, again, None).await?;
        let run = self.open(known.id(), &claim, Entry::Retried).await?;
        self.read_inbox(&run, true).await?;
        Ok(run)
    }

    async fn retry_in(&self, known: &KnownRun, again: &Again, around: Option<&Claim>) -> Result<Claim, ExecutorError> {
        let claim = self.ended_claim(known, around).await?;
        let here = KnownRun { place: Place::Log(claim.folder.clone()), ..known.clone() };
        let records = self.inner.home.records(&here)?;
        let plan = self.plan_of(known.id(), &records)?;
        let mut rewinding = Rewinding::new(&plan, &records);
        let (target, inner) = self.rewind(&mut rewinding, again)?;
        // Children first: a run whose failed child goes on has not ended itself.
        match inner {
            Some((child, again)) => drop(Box::pin(self.retry_child(&child, &again, &claim)).await?),
            None if again.from.is_none() => {
                for (path, child) in rewinding.failed_children() {
                    let Some(child) = self.inner.home.get(child)? else { continue };
                    if self.retry_child(&child, &Again::default(), &claim).await? {
                        rewinding.go_on(&path);
                    }
                }
            }
            None => {}
        }
        let mut rewound = rewinding.rewound(self.inner.engine.clock().now());
        if let (Some(input), Some(target)) = (&again.step_input, target) {
            rewound.inputs.insert(rewinding.new_place(&target), Arc::new(input.clone()));
        }
        let journal = RunJournal::open(claim.journal.clone(), known.id()).await?;
        journal.rewind(rewound).await?;
        Ok(claim)
    }

    /// Lets a child go on that has failed, or that was about to; whether it can.
    async fn retry_child(&self, child: &KnownRun, again: &Again, claim: &Claim) -> Result<bool, ExecutorError> {
        match child.status() {
            RunStatus::Failed => Box::pin(self.retry_in(child, again, Some(claim))).await.map(|_| true),
            status if !status.has_ended() => Ok(true),
            _ if again.from.is_some() => Box::pin(self.retry_in(child, again, Some(claim))).await.map(|_| true),
            _ => Ok(false),
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
        let started = self.started(known)?;
        let definition = match definition {
            Some(latest) => latest,
            None => Arc::new(self.inner.home.definition(&started.definition)?),
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
        let claim = self.inner.own_claim()?;
        let id = Uuid::now_v7();
        self.fork_in(known, again, &claim, id, None).await?;
        self.open(id, &claim, Entry::Started).await
    }

    /// Makes `id` a fork of `known`; where the step is in a child, that is forked as a child of the new run.
    async fn fork_in(
        &self,
        known: &KnownRun,
        again: &Again,
        claim: &Claim,
        id: Uuid,
        parent: Option<Parent>,
    ) -> Result<(), ExecutorError> {
        let records = self.inner.home.records(known)?;
        let started = started(known.id(), &records)?;
        let plan = self.plan_of(known.id(), &records)?;
        let mut rewinding = Rewinding::new(&plan, &records);
        let (target, inner) = self.rewind(&mut rewinding, again)?;
        let mut inputs = started.inputs.clone();
        if let (Some(input), Some(target), None) = (&again.step_input, &target, &inner) {
            inputs.insert(target.to_string(), Arc::new(input.clone()));
        }
        if let (Some((child, again)), Some(target)) = (&inner, &target) {
            let path = target.to_string();
            let parent = Some(Parent { run: id, path: path.clone() });
            Box::pin(self.fork_in(child, again, claim, Child::id(id, &path), parent)).await?;
        }
        let path = again.from.as_ref().and(target.as_ref()).map(StepPath::to_string);
        let origin = Some(Origin { run: known.id(), path });
        let mut all = vec![Record::Started(Box::new(Started { origin, inputs, parent, ..started }))];
        all.extend(rewinding.kept(self.inner.engine.clock().now())?);
        Ok(claim.take_in(id, &all).await?)
    }

    /// Finds from where `again` lets a run happen again; where that is in a child, which one, and from where there.
    fn rewind(&self, rewinding: &mut Rewinding<'_>, again: &Again) -> Result<Target, ExecutorError> {
        let Some(given) = &again.from else {
            if again.step_input.is_some() {
                return Err(RewindError::InputForNoStep.into());
            }
            rewinding.retry()?;
            return Ok((None, None));
        };
        let unknown = match rewinding.find(given) {
            Ok(target) => {
                if again.step_input.is_some() {
                    rewinding.check_input(&target)?;
                }
                rewinding.from(&target);
                return Ok((Some(target), None));
            }
            Err(error @ RewindError::UnknownStep { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for (path, child) in rewinding.children() {
            let Some(child) = self.inner.home.get(child)? else { continue };
            // `PATH` of the child behind the path of its step, or the end of it alone.
            let inside = given.strip_prefix(&path.to_string()).unwrap_or(given).to_owned();
            if self.has_step(&child, &inside)? {
                found.push((path, child, Again { from: Some(inside), step_input: again.step_input.clone() }));
            }
        }
        match found.len() {
            1 => {
                let (path, child, again) = found.swap_remove(0);
                rewinding.reopen(&path);
                Ok((Some(path), Some((child, again))))
            }
            0 => Err(unknown.into()),
            _ => {
                let candidates = found.iter().map(|(path, _, again)| {
                    format!("{path}/{}", again.from.as_deref().unwrap_or_default().trim_start_matches('/'))
                });
                Err(RewindError::AmbiguousStep { given: given.clone(), candidates: candidates.collect() }.into())
            }
        }
    }

    /// Whether `given` is a step of `run`, or of a run that is a step of it.
    fn has_step(&self, run: &KnownRun, given: &str) -> Result<bool, ExecutorError> {
        let records = self.inner.home.records(run)?;
        let plan = self.plan_of(run.id(), &records)?;
        let rewinding = Rewinding::new(&plan, &records);
        if !matches!(rewinding.find(given), Err(RewindError::UnknownStep { .. })) {
            return Ok(true);
        }
        for (path, child) in rewinding.children() {
            let Some(child) = self.inner.home.get(child)? else { continue };
            let inside = given.strip_prefix(&path.to_string()).unwrap_or(given);
            if self.has_step(&child, inside)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a run executes, as its records say last.
    fn plan_of(&self, run: Uuid, records: &[Record]) -> Result<Arc<Plan>, ExecutorError> {
        Ok(self.inner.recalled(&started(run, records)?.definition)?.1)
    }

    fn started(&self, known: &KnownRun) -> Result<Started, ExecutorError> {
        started(known.id(), &self.inner.home.records(known)?)
    }

    /// The journal that a run which has ended is in, brought back from the store where that has it.
    ///
    /// A child goes where the run `around` it is.
    pub(super) async fn ended_claim(&self, known: &KnownRun, around: Option<&Claim>) -> Result<Claim, ExecutorError> {
        let Place::Log(folder) = &known.place else { return self.brought_back(known, around).await };
        let claim = self.claim_of(known.id(), folder)?;
        // It is not moved to the store while it goes on.
        let _archiving = self.inner.archiving.lock().await;
        if let Some(claim) = lock(&self.inner.claims).by_folder.get_mut(folder) {
            claim.ended.retain(|run| *run != known.id());
        }
        if !claim.journal.runs().contains(&known.id()) {
            return self.brought_back(known, around).await;
        }
        let Some(around) = around.filter(|around| around.folder != claim.folder) else { return Ok(claim) };
        let opened = claim.journal.open(known.id()).await?;
        around.take_in(known.id(), &opened.records).await?;
        claim.journal.forget(known.id(), opened.epoch)?;
        Ok(around.clone())
    }

    async fn brought_back(&self, known: &KnownRun, around: Option<&Claim>) -> Result<Claim, ExecutorError> {
        let records = self.inner.home.records(&KnownRun { place: Place::Archive, ..known.clone() })?;
        let claim = around.cloned().map_or_else(|| self.inner.own_claim(), Ok)?;
        claim.take_in(known.id(), &records).await?;
        Ok(claim)
    }
}

fn started(run: Uuid, records: &[Record]) -> Result<Started, ExecutorError> {
    Started::of(records).ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
}
