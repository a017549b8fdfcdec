//! New runs, and runs that go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    Engine, Plan, Run, RunOptions, WorkflowInput,
    engine::{Extensions, Resume},
    model::Definition,
};
use llmspell_workflows_hooks::point::WorkflowResume;
use llmspell_workflows_state::{Origin, Resumption, RunJournal, Started, record::FORMAT};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, Live, Recipe, lock, prepared::Ready};
use crate::{
    ExecutorError, KnownRun,
    home::{Claim, Place},
    metrics::cpu_time,
};

/// What is special about one run.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Which of the definition's environments overrides variables.
    pub environment: Option<String>,
    /// What its users call it.
    pub labels: BTreeMap<String, String>,
    /// The run that it was made of.
    pub origin: Option<Origin>,
}

/// What hooks find on a run of what its executor knows.
#[derive(Debug)]
pub(crate) struct Begun {
    /// What its users call it.
    pub(crate) labels: BTreeMap<String, String>,
    /// What the process had used when it began or went on.
    pub(crate) cpu: Option<Duration>,
}

impl Executor {
    /// Starts a run of `definition`; it is recorded when this returns, and to be driven.
    ///
    /// # Errors
    /// The definition or the input is wrong, or nothing can be recorded.
    pub async fn start(
        &self,
        definition: impl Into<Arc<Definition>>,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let ready = self.inner.ready_to_start(&definition.into())?;
        self.start_ready(ready, input, options).await
    }

    /// The same with the engine and the plan that are given.
    pub(crate) async fn start_as(
        &self,
        recipe: &Recipe,
        definition: &Arc<Definition>,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let ready = self.inner.ready_by(recipe, definition, definition.hash())?;
        self.inner.home.keep_as(&ready.hash, definition)?;
        self.start_ready(ready, input, options).await
    }

    async fn start_ready(
        &self,
        ready: Ready,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let StartOptions { environment, labels, origin } = options;
        let Ready { definition, hash, engine, plan, .. } = ready;
        let started = Started {
            format: FORMAT,
            at: self.inner.engine.clock().now(),
            workflow: definition.name.clone(),
            version: definition.version.clone(),
            definition: hash.to_string(),
            input: input.initial_data.clone(),
            starting_step: input.starting_step.clone(),
            environment,
            parent: None,
            origin,
            inputs: BTreeMap::new(),
            state: serde_json::Map::new(),
            labels,
        };
        let claim = self.inner.own_claim()?;
        let journal = self.inner.journal(&claim, Uuid::now_v7()).await?;
        let resume = Resume::new(journal.run(), started.at);
        let journal = Arc::new(journal);
        let run = self.run((&engine, &plan), input, &started, resume, &journal)?;
        run.check_recorded("the input", &started.input)?;
        journal.start(started).await?;
        self.archive_ended(&claim);
        Ok(self.admit(run, plan, journal, &claim))
    }

    /// Goes on with a run that no other process has.
    ///
    /// # Errors
    /// It has ended, a hook forbids it, another process has it, its definition is not there or does not run here, or the
    /// journal cannot be read.
    pub async fn resume(&self, known: &KnownRun) -> Result<DurableRun, ExecutorError> {
        let claim = self.claim_to_resume(known).await?;
        self.resume_in(known, &claim).await
    }

    /// The journal of a run that may go on.
    pub(super) async fn claim_to_resume(&self, known: &KnownRun) -> Result<Claim, ExecutorError> {
        let Place::Log(folder) = &known.place else { return Err(ExecutorError::Ended { run: known.id() }) };
        check_own(known)?;
        // Asked first, so that a run that does not go on stays free for others.
        self.inner.services.permit(WorkflowResume, known.id(), Value::Null).await?;
        let claim = self.claim_of(known.id(), folder)?;
        if lock(&self.inner.live).contains_key(&known.id()) {
            return Err(ExecutorError::Driven { run: known.id() });
        }
        Ok(claim)
    }

    pub(super) async fn resume_in(&self, known: &KnownRun, claim: &Claim) -> Result<DurableRun, ExecutorError> {
        let run = self.open(known.id(), claim, Resumption::Resumed).await?;
        self.read_inbox(&run, true).await?;
        Ok(run)
    }

    /// The journal of `folder`, where `run` is.
    pub(super) fn claim_of(&self, run: Uuid, folder: &std::path::PathBuf) -> Result<Claim, ExecutorError> {
        use llmspell_workflows_state::JournalError;
        self.inner.claim(folder).map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { holder, .. }) => ExecutorError::Held { run, holder },
            error => error,
        })
    }

    /// A run as its journal knows it.
    pub(super) async fn open(&self, run: Uuid, claim: &Claim, why: Resumption) -> Result<DurableRun, ExecutorError> {
        let journal = Arc::new(self.inner.journal(claim, run).await?);
        // Its process may have brought it to its end since it was looked up.
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run });
        }
        let unknown = || ExecutorError::UnknownRun(run.to_string());
        let started = journal.started().ok_or_else(unknown)?;
        let Ready { engine, plan, .. } = self.inner.recalled(&started.definition)?;
        let mut input = WorkflowInput::new(started.input.clone());
        input.starting_step.clone_from(&started.starting_step);
        let resume = journal.resume().ok_or_else(unknown)?;
        journal.resumes(why);
        let run = self.run((&engine, &plan), input, &started, resume, &journal)?;
        Ok(self.admit(run, plan, journal, claim))
    }

    /// Counts a run among those of this process.
    fn admit(&self, run: Arc<Run>, plan: Arc<Plan>, journal: Arc<RunJournal>, claim: &Claim) -> DurableRun {
        let live = lock(&self.inner.live).entry(run.id()).or_insert_with(|| Live::new(run.id())).clone();
        *lock(&live.run) = Some(run.clone());
        *lock(&live.folder) = Some(claim.folder.clone());
        if live.is_paused() {
            run.hold();
        }
        DurableRun { run, plan, journal, live, folder: claim.folder.clone() }
    }

    fn run(
        &self,
        (engine, plan): (&Engine, &Arc<Plan>),
        input: WorkflowInput,
        started: &Started,
        resume: Resume,
        journal: &Arc<RunJournal>,
    ) -> Result<Arc<Run>, ExecutorError> {
        let extensions = Extensions::new()
            .with_shared(journal.clone())
            .with(Begun { labels: started.labels.clone(), cpu: cpu_time() });
        let extensions = self.inner.told(extensions);
        let environment = started.environment.clone();
        let options = RunOptions { resume: Some(resume), environment, extensions, ..RunOptions::default() };
        Ok(engine.start(plan, input, &options)?)
    }
}

/// That a run is none that goes on with the one around it.
pub(super) fn check_own(known: &KnownRun) -> Result<(), ExecutorError> {
    match known.summary.parent {
        Some(parent) => Err(ExecutorError::IsChild { run: known.id(), parent }),
        None => Ok(()),
    }
}
