//! Runs that go on from an earlier point, as themselves or as new runs.

use std::sync::Arc;

use llmspell_workflows_basic::{RunStatus, StepPath, WorkflowInput, model::Definition};
use llmspell_workflows_state::{Origin, Record, RewindError, Rewinding, RunJournal, Started};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, StartOptions, lock};
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

impl Executor {
    /// A failed run goes on: what failed runs again, as its next generation, and everything else stays.
    ///
    /// # Errors
    /// It has not failed, another process has it, the step is not there or takes no input, or the journal cannot be
    /// read or written.
    pub async fn retry(&self, known: &KnownRun, again: &Again) -> Result<DurableRun, ExecutorError> {
        if known.status() != RunStatus::Failed {
            return Err(ExecutorError::NotFailed { run: known.id(), status: known.status() });
        }
        let claim = self.ended_claim(known).await?;
        let journal = RunJournal::open(claim.journal.clone(), known.id()).await?;
        let started = journal.started().ok_or_else(|| ExecutorError::UnknownRun(known.id().to_string()))?;
        let plan = self.inner.engine.prepare(self.inner.home.definition(&started.definition)?)?;
        let records =
            self.inner.home.records(&KnownRun { place: Place::Log(claim.folder.clone()), ..known.clone() })?;
        let mut rewinding = Rewinding::new(&plan, &records);
        let target = rewind(&mut rewinding, again)?;
        let mut rewound = rewinding.rewound(self.inner.engine.clock().now());
        if let (Some(input), Some(target)) = (&again.step_input, target) {
            rewound.inputs.insert(rewinding.new_place(&target), Arc::new(input.clone()));
        }
        journal.rewind(rewound).await?;
        drop(journal);
        let run = self.open(known.id(), &claim).await?;
        self.read_inbox(&run, true).await?;
        Ok(run)
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
        let records = self.inner.home.records(known)?;
        let started = started(known.id(), &records)?;
        let plan = self.inner.engine.prepare(self.inner.home.definition(&started.definition)?)?;
        let mut rewinding = Rewinding::new(&plan, &records);
        let target = rewind(&mut rewinding, again)?;
        let now = self.inner.engine.clock().now();
        let mut inputs = started.inputs.clone();
        if let (Some(input), Some(target)) = (&again.step_input, &target) {
            inputs.insert(target.to_string(), Arc::new(input.clone()));
        }
        let path = target.as_ref().map(StepPath::to_string);
        let origin = Some(Origin { run: known.id(), path });
        let new = Started { origin, inputs, ..started };
        let claim = self.inner.own_claim()?;
        let id = Uuid::now_v7();
        let mut all = vec![Record::Started(Box::new(new))];
        all.extend(rewinding.kept(now)?);
        claim.take_in(id, &all).await?;
        self.open(id, &claim).await
    }

    /// Goes on with a run under another definition than it was started with, where every recorded step still exists.
    ///
    /// # Errors
    /// As [`Self::resume`]; or a recorded step is not in `definition`.
    pub async fn resume_with(
        &self,
        known: &KnownRun,
        definition: Arc<Definition>,
    ) -> Result<DurableRun, ExecutorError> {
        let Place::Log(folder) = &known.place else { return Err(ExecutorError::Ended { run: known.id() }) };
        let plan = self.inner.engine.prepare(definition.clone())?;
        let claim = self.claim_of(known.id(), folder)?;
        let records = self.inner.home.records(known)?;
        let missing = Rewinding::new(&plan, &records).missing();
        if !missing.is_empty() {
            return Err(ExecutorError::MissingSteps { run: known.id(), paths: missing });
        }
        let hash = self.inner.home.keep(&definition)?;
        let journal = RunJournal::open(claim.journal.clone(), known.id()).await?;
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run: known.id() });
        }
        journal.redefine(self.inner.engine.clock().now(), hash, definition.version.clone()).await?;
        drop(journal);
        self.resume(known).await
    }

    /// That `known` was started with `definition`.
    ///
    /// # Errors
    /// It was not; the error shows the difference.
    pub fn check_definition(&self, known: &KnownRun, definition: &Arc<Definition>) -> Result<(), ExecutorError> {
        if known.summary.definition == definition.hash() {
            return Ok(());
        }
        let old = Arc::new(self.inner.home.definition(&known.summary.definition)?);
        Err(ExecutorError::Changed { run: known.id(), difference: Difference { old, new: definition.clone() } })
    }

    fn started(&self, known: &KnownRun) -> Result<Started, ExecutorError> {
        started(known.id(), &self.inner.home.records(known)?)
    }

    /// The journal that a run which has ended is in, brought back from the store where that has it.
    async fn ended_claim(&self, known: &KnownRun) -> Result<Claim, ExecutorError> {
        match &known.place {
            Place::Log(folder) => {
                let claim = self.claim_of(known.id(), folder)?;
                // It is not moved to the store while it goes on.
                let _archiving = self.inner.archiving.lock().await;
                if let Some(claim) = lock(&self.inner.claims).by_folder.get_mut(folder) {
                    claim.ended.retain(|run| *run != known.id());
                }
                let is_here = claim.journal.runs().contains(&known.id());
                if is_here { Ok(claim) } else { self.brought_back(known).await }
            }
            Place::Archive => self.brought_back(known).await,
        }
    }

    async fn brought_back(&self, known: &KnownRun) -> Result<Claim, ExecutorError> {
        let records = self.inner.home.records(&KnownRun { place: Place::Archive, ..known.clone() })?;
        let claim = self.inner.own_claim()?;
        claim.take_in(known.id(), &records).await?;
        Ok(claim)
    }
}

/// What differs between the definition of a run and another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What the run was started with.
    pub old: Arc<Definition>,
    /// The other one.
    pub new: Arc<Definition>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |definition: &Definition| serde_json::to_string_pretty(definition).unwrap_or_default() + "\n";
        let (old, new) = (text(&self.old), text(&self.new));
        write!(f, "{}", similar::TextDiff::from_lines(&old, &new).unified_diff().context_radius(2))
    }
}

fn rewind(rewinding: &mut Rewinding<'_>, again: &Again) -> Result<Option<StepPath>, ExecutorError> {
    let Some(given) = &again.from else {
        if again.step_input.is_some() {
            return Err(RewindError::InputForNoStep.into());
        }
        rewinding.retry()?;
        return Ok(None);
    };
    let target = rewinding.find(given)?;
    if again.step_input.is_some() {
        rewinding.check_input(&target)?;
    }
    rewinding.from(&target);
    Ok(Some(target))
}

fn started(run: Uuid, records: &[Record]) -> Result<Started, ExecutorError> {
    let found = records.iter().find_map(|record| match record {
        Record::Started(started) => Some((**started).clone()),
        _ => None,
    });
    found.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
}
