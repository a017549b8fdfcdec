use std::sync::Arc;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, RunOptions, WorkflowInput,
    engine::{Extensions, Signal},
    model::Definition,
};
use llmspell_workflows_state::{Journal, JournalError, RunJournal, Started};
use serde_json::Value;
use uuid::Uuid;

use super::{CrashPoint, SimClock};

/// How a process ended.
#[derive(Debug)]
pub(super) enum ProcessEnd {
    Done(Box<Finished>),
    Parked(Option<Timestamp>),
    Crashed,
    /// The journal could not be read or written.
    Fault(JournalError),
}

/// A process that uses a journal until the run ends or parks, or until the process crashes.
pub(super) struct Process<'a> {
    pub(super) engine: &'a Engine,
    pub(super) definition: &'a Definition,
    pub(super) input: &'a Value,
    pub(super) signals: &'a [Signal],
    pub(super) run_id: Uuid,
    pub(super) clock: &'a SimClock,
}

impl Process<'_> {
    /// Starts or resumes the run.
    pub(super) async fn run(&self, journal: Arc<dyn Journal>, point: &CrashPoint) -> ProcessEnd {
        let end = tokio::select! {
            biased;
            () = point.crashed() => ProcessEnd::Crashed,
            end = self.drive(journal) => end.unwrap_or_else(ProcessEnd::Fault),
        };
        // The result of a crashed process is lost.
        if point.has_crashed() { ProcessEnd::Crashed } else { end }
    }

    async fn drive(&self, journal: Arc<dyn Journal>) -> Result<ProcessEnd, JournalError> {
        let journal = Arc::new(RunJournal::open_with(journal, self.run_id, self.engine.masker(), |_| ()).await?);
        let plan = self.engine.prepare(self.definition.clone()).unwrap_or_else(|invalid| panic!("{invalid}"));
        if journal.started().is_none() {
            let started = Started {
                at: self.clock.now(),
                workflow: self.definition.name.clone(),
                version: self.definition.version.clone(),
                definition: self.definition.hash().to_string(),
                input: self.input.clone(),
                ..Started::default()
            };
            journal.start(started).await?;
        }
        let options = RunOptions {
            resume: journal.resume(),
            extensions: Extensions::new().with_shared(journal.clone()),
            ..RunOptions::default()
        };
        let run = self.engine.start(&plan, WorkflowInput::new(self.input.clone()), &options);
        let run = run.unwrap_or_else(|error| panic!("the input is invalid: {error}"));
        // Signals already received by a step are in the journal and are not received again.
        self.signals.iter().for_each(|signal| run.deliver(signal.clone()));
        // Park the run once all branches wait; a run that waits only for a signal would otherwise wait forever.
        let hold = async {
            run.until_waiting().await;
            run.park();
            std::future::pending().await
        };
        let driven = tokio::select! {
            biased;
            driven = self.engine.drive(&run) => driven,
            driven = hold => driven,
        };
        match driven {
            Driven::Parked(wait) => Ok(ProcessEnd::Parked(wait.wake_at)),
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => match journal.fault() {
                Some(fault) => Err(fault.clone()),
                None => Ok(ProcessEnd::Done(finished)),
            },
        }
    }
}
