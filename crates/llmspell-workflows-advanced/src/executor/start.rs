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

use super::{DurableRun, Executor, Recipe, prepared::Ready};
use crate::{
    ExecutorError, KnownRun,
    home::{JournalId, Lease, RunPlace},
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
        let ready = self.inner.ready_to_start(&definition.into()).await?;
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
        self.inner.home.keep_as(&ready.hash, definition).await?;
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
        let lease = self.inner.own_lease().await?;
        let journal = Arc::new(self.inner.journal_in(lease.journal.clone(), Uuid::now_v7()).await?);
        let correlated = self.inner.services.correlate(journal.run(), &started.labels);
        let owned = self.inner.own(journal.run(), &lease.id)?;
        let resume = Resume::new(journal.run(), started.at);
        let run = self.run((&engine, &plan), input, &started, resume, &journal)?;
        run.check_recorded("the input", &started.input)?;
        journal.start(started).await?;
        correlated.keep();
        self.inner.archive_ended(&lease.id);
        owned.live.enters_memory(&run);
        Ok(DurableRun { run, plan, journal, owned })
    }

    /// Resumes a run that nobody drives: one whose process died, one that was paused, or one that waits, also if it is
    /// parked in this process.
    ///
    /// # Errors
    /// It has ended, a hook forbids it, somebody drives it here, another process has it, its definition is not there or
    /// does not run here, or the journal cannot be read.
    pub async fn resume(&self, known: &KnownRun) -> Result<DurableRun, ExecutorError> {
        let lease = self.lease_to_resume(known).await?;
        self.resume_in(known, &lease).await
    }

    /// The journal of a run that may be resumed.
    pub(super) async fn lease_to_resume(&self, known: &KnownRun) -> Result<Lease, ExecutorError> {
        let journal = self.journal_of(known)?;
        check_own(known)?;
        // Asked first, so that a run that is not resumed stays free for others.
        self.inner.services.permit(WorkflowResume, known.id(), Value::Null).await?;
        let lease = self.inner.lease_of(known.id(), journal).await?;
        match self.inner.registry.is_owned(known.id()) {
            true => Err(ExecutorError::Driven { run: known.id() }),
            false => Ok(lease),
        }
    }

    pub(super) fn journal_of<'k>(&self, known: &'k KnownRun) -> Result<&'k JournalId, ExecutorError> {
        match &known.place {
            RunPlace::Journal(journal) => Ok(journal),
            RunPlace::Archive => Err(ExecutorError::Ended { run: known.id() }),
        }
    }

    pub(super) async fn resume_in(&self, known: &KnownRun, lease: &Lease) -> Result<DurableRun, ExecutorError> {
        self.take_up(known.id(), lease, Resumption::Resumed).await
    }

    /// Owns a run, opens it, and reads its messages; older requests to pause no longer count.
    pub(super) async fn take_up(&self, run: Uuid, lease: &Lease, why: Resumption) -> Result<DurableRun, ExecutorError> {
        let owned = self.inner.own(run, &lease.id)?;
        let run = self.open(owned, lease, why).await?;
        self.read_inbox(&run, true).await?;
        Ok(run)
    }

    pub(super) fn run(
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
