//! Starts and resumes runs.

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

use super::{DurableRun, Executor, Recipe, prepared::PreparedDefinition};
use crate::{
    ExecutorError, KnownRun,
    home::{JournalId, Lease, RunLocation},
    metrics::cpu_time,
};

/// Options for one run.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The name of one of the definition's environments. Its variables override the defaults.
    pub environment: Option<String>,
    /// Labels for finding the run.
    pub labels: BTreeMap<String, String>,
    /// The run that this run was created from.
    pub origin: Option<Origin>,
    /// Permissions that the run gets in addition to the configuration of its process, by the name of
    /// the option. Recorded for programs that continue the run; the engine ignores them.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The time limit of the run, from its first start. The definition's time limit also applies.
    pub timeout: Option<Duration>,
}

/// Information about a run that the executor provides to the run's hooks.
#[derive(Debug)]
pub(crate) struct RunInfo {
    /// The labels of the run.
    pub(crate) labels: BTreeMap<String, String>,
    /// The CPU time that the process had used when the run was started or resumed.
    pub(crate) cpu: Option<Duration>,
}

impl Executor {
    /// Starts a run of `definition`. When this returns, the run is recorded, but nothing drives it yet.
    ///
    /// # Errors
    /// Returns an error if the definition or the input is invalid, or if the run cannot be recorded.
    pub async fn start(
        &self,
        definition: impl Into<Arc<Definition>>,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let ready = self.inner.prepare_to_start(&definition.into()).await?;
        self.start_ready(ready, input, options).await
    }

    /// Starts a run of `definition`, prepared by `recipe`.
    pub(crate) async fn start_as(
        &self,
        recipe: &Recipe,
        definition: &Arc<Definition>,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let text = definition.to_json();
        let ready = self.inner.prepare_with(recipe, definition, Definition::hash_of(&text))?;
        self.inner.home.definitions().put(&ready.hash, &text).await?;
        self.start_ready(ready, input, options).await
    }

    async fn start_ready(
        &self,
        ready: PreparedDefinition,
        input: WorkflowInput,
        options: StartOptions,
    ) -> Result<DurableRun, ExecutorError> {
        let StartOptions { environment, labels, origin, grants, timeout } = options;
        let PreparedDefinition { definition, hash, engine, plan, .. } = ready;
        let mut started = Started {
            format: FORMAT,
            at: self.inner.engine.clock().now(),
            workflow: definition.name.clone(),
            version: definition.version.clone(),
            definition: hash.to_string(),
            input: input.initial_data.clone(),
            starting_step: input.starting_step.clone(),
            environment,
            origin,
            labels,
            grants,
            timeout_us: timeout.map(|timeout| u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX)),
            ..Started::default()
        };
        let lease = self.inner.own_lease().await?;
        self.inner.wait_for_archive(&lease.id).await;
        let journal = Arc::new(self.inner.journal_in(lease.journal.clone(), Uuid::now_v7()).await?);
        let correlated = self.inner.services.correlate(journal.run(), &started.labels);
        let owned = self.inner.own(journal.run(), &lease.id)?;
        let resume = Resume::new(journal.run(), started.at);
        let run = self.run((&engine, &plan), input, &started, resume, &journal)?;
        run.check_recorded("the input", &started.input)?;
        started.env.clone_from(run.variable_env());
        journal.start(started).await?;
        correlated.keep();
        self.inner.archive_ended(&lease.id);
        owned.live.enter_memory(&run);
        Ok(DurableRun { run, plan, journal, owned })
    }

    /// Resumes a run where it stopped. The run may have been interrupted or paused, or it may be waiting, even if it is
    /// parked in this executor.
    ///
    /// # Errors
    /// Returns an error if the run has ended or is driven in this process, another process owns the run, a hook forbids
    /// the resume, the definition of the run is missing or cannot run on this executor, or the journal cannot be read.
    pub async fn resume(&self, known: &KnownRun) -> Result<DurableRun, ExecutorError> {
        let lease = self.lease_to_resume(known).await?;
        self.resume_in(known, &lease).await
    }

    /// Leases a run's journal in order to resume the run, if hooks permit it.
    pub(super) async fn lease_to_resume(&self, known: &KnownRun) -> Result<Lease, ExecutorError> {
        let journal = self.journal_of(known)?;
        self.check_top_level(known).await?;
        // Ask hooks before leasing so that the run stays free if a hook forbids the resume.
        self.inner.services.permit(WorkflowResume, known.id(), Value::Null).await?;
        let lease = self.inner.lease_run(known, journal).await?;
        self.inner.drop_copies(known.id(), &known.copies, &lease.id).await?;
        match self.inner.registry.is_owned(known.id()) {
            true => Err(ExecutorError::Driven { run: known.id() }),
            false => Ok(lease),
        }
    }

    pub(super) fn journal_of<'k>(&self, known: &'k KnownRun) -> Result<&'k JournalId, ExecutorError> {
        match &known.location {
            RunLocation::Journal(journal) => Ok(journal),
            RunLocation::Archive => Err(ExecutorError::Ended { run: known.id() }),
        }
    }

    pub(super) async fn resume_in(&self, known: &KnownRun, lease: &Lease) -> Result<DurableRun, ExecutorError> {
        self.claim_and_open(known.id(), lease, Resumption::Resumed).await
    }

    /// Claims a run, opens it and reads its messages; earlier pause requests are ignored.
    pub(super) async fn claim_and_open(
        &self,
        run: Uuid,
        lease: &Lease,
        why: Resumption,
    ) -> Result<DurableRun, ExecutorError> {
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
            .with(RunInfo { labels: started.labels.clone(), cpu: cpu_time() });
        let extensions = self.inner.mark_recorded_events(extensions);
        let environment = started.environment.clone();
        let timeout = started.timeout();
        let options = RunOptions { resume: Some(resume), environment, extensions, timeout, ..RunOptions::default() };
        Ok(engine.start(plan, input, &options)?)
    }

    /// Checks that a run is not a sub-workflow, since a sub-workflow is resumed with the outermost run around it.
    pub(super) async fn check_top_level(&self, known: &KnownRun) -> Result<(), ExecutorError> {
        match known.summary.parent {
            Some(_) => {
                let parent = self.inner.home.root_of(known).await?.id();
                Err(ExecutorError::IsChild { run: known.id(), parent })
            }
            None => Ok(()),
        }
    }
}
