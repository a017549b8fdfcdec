use std::sync::Arc;

use llmspell_workflows_basic::{
    Driven, Engine, EngineBuilder, Finished, Plan, Run, RunOptions, RunStatus, WorkflowInput,
    engine::{Cancelled, Extensions, Failure, Outcome, Output, Position, Resume, Wait},
    model::Definition,
};
use llmspell_workflows_state::{Journaling, RunJournal, Started};
use uuid::Uuid;

use crate::{Claim, ExecutorError, KnownRun};

/// Runs definitions durably: a step whose completion was acknowledged is never executed again.
#[derive(Debug, Clone)]
pub struct Executor {
    claim: Claim,
    engine: Engine,
}

/// A durable run in this process.
#[derive(Clone)]
pub struct DurableRun {
    run: Arc<Run>,
    plan: Arc<Plan>,
    journal: Arc<RunJournal>,
}

/// How far [`Executor::drive`] came.
#[derive(Debug)]
pub enum DurableEnd {
    /// It has ended, and that is recorded.
    Finished(Box<Finished>),
    /// All of its live branches wait; it goes on when it is resumed.
    Waiting(Wait),
    /// It was shut down with its process; it goes on when it is resumed.
    Stopped(Box<Finished>),
}

impl DurableRun {
    /// The run itself, to cancel it or to shut it down.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// What it executes.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

impl std::fmt::Debug for DurableRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "durable run {}", self.run.id())
    }
}

impl Executor {
    /// One that keeps its journal at `claim`, with the engine that `builder` makes.
    #[must_use]
    pub fn new(claim: Claim, builder: EngineBuilder) -> Self {
        Self { claim, engine: builder.interceptor(Position::Journal, Journaling).build() }
    }

    /// The engine, to prepare definitions with.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts a run of `definition`, to be driven by [`Self::drive`]; from here on it survives.
    ///
    /// # Errors
    /// The definition or the input is not valid, or the journal cannot be written.
    pub async fn start(
        &self,
        definition: Definition,
        input: WorkflowInput,
        environment: Option<String>,
    ) -> Result<DurableRun, ExecutorError> {
        let plan = self.engine.prepare(definition)?;
        let definition = self.claim.home.keep(plan.definition())?;
        let started = Started {
            at: jiff::Timestamp::now(),
            workflow: plan.definition().name.clone(),
            version: plan.definition().version.clone(),
            definition,
            input: input.initial_data.clone(),
            starting_step: input.starting_step.clone(),
            environment: environment.clone(),
        };
        let journal = Arc::new(RunJournal::open(self.claim.journal.clone(), Uuid::now_v7()).await?);
        let resume = Resume::new(journal.run(), started.at);
        let run = self.run(&plan, input, environment, resume, &journal)?;
        journal.start(started).await?;
        Ok(DurableRun { run, plan, journal })
    }

    /// Goes on with a run of the journal that this executor has.
    ///
    /// # Errors
    /// It has ended, its definition is not there or does not run here, or the journal cannot be read.
    pub async fn resume(&self, known: &KnownRun) -> Result<DurableRun, ExecutorError> {
        let journal = Arc::new(RunJournal::open(self.claim.journal.clone(), known.run).await?);
        // Its process may have brought it to its end since it was looked up.
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run: known.run });
        }
        let unknown = || ExecutorError::UnknownRun(known.run.to_string());
        let started = journal.started().ok_or_else(unknown)?;
        let plan = self.engine.prepare(self.claim.home.definition(&started.definition)?)?;
        let mut input = WorkflowInput::new(started.input);
        input.starting_step = started.starting_step;
        let resume = journal.resume().ok_or_else(unknown)?;
        let run = self.run(&plan, input, started.environment, resume, &journal)?;
        Ok(DurableRun { run, plan, journal })
    }

    /// Drives `run` until it ends, waits or is shut down.
    ///
    /// # Errors
    /// The journal could not be written or read, so the run was shut down; it can be resumed.
    pub async fn drive(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let finished = match self.engine.drive(&run.run).await {
            Driven::Parked(wait) => return Ok(DurableEnd::Waiting(wait)),
            Driven::Done(finished) => finished,
        };
        if let Some(fault) = run.journal.fault() {
            return Err(fault.clone().into());
        }
        if run.run.is_shut_down() && finished.status == RunStatus::Cancelled {
            return Ok(DurableEnd::Stopped(finished));
        }
        run.journal.close(&outcome(&finished), finished.ended_at).await?;
        Ok(DurableEnd::Finished(finished))
    }

    fn run(
        &self,
        plan: &Arc<Plan>,
        input: WorkflowInput,
        environment: Option<String>,
        resume: Resume,
        journal: &Arc<RunJournal>,
    ) -> Result<Arc<Run>, ExecutorError> {
        let extensions = Extensions::new().with_shared(journal.clone());
        let options = RunOptions { resume: Some(resume), environment, extensions };
        Ok(self.engine.start(plan, input, &options)?)
    }
}

/// How the root step ended, as far as anyone asks later.
fn outcome(finished: &Finished) -> Outcome {
    let error = || finished.error.clone().unwrap_or_else(|| unreachable!("what did not complete says why"));
    match finished.status {
        RunStatus::Completed => {
            let state_changes = finished.state_changes.clone();
            Outcome::Completed(Output { value: finished.output.clone(), state_changes })
        }
        RunStatus::Cancelled => {
            Outcome::Cancelled(Cancelled::new(llmspell_workflows_basic::engine::CancelReason::Requested))
        }
        _ => Outcome::Failed(Failure { error: Box::new(error()), handled: false }),
    }
}
