use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, RunOptions, WorkflowInput,
    engine::{Call, Extensions, Timers, Wake},
    model::Definition,
};
use llmspell_workflows_state::{Journal, JournalError, RunJournal, Started};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::CrashPoint;

/// Time that moves only when it is told to: whoever waits for it goes on then.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<watch::Sender<Timestamp>>);

impl SimClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Shows `time` from now on.
    pub fn set(&self, time: Timestamp) {
        self.0.send_replace(time);
    }

    /// Shows a later time from now on.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

impl Default for SimClock {
    /// A clock that shows the beginning of 2026.
    fn default() -> Self {
        Self::new("2026-01-01T00:00:00Z".parse().expect("a timestamp"))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let mut shown = self.0.subscribe();
        Box::pin(async move {
            if shown.wait_for(|now| *now >= time).await.is_err() {
                // Nobody can move it any more.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[async_trait]
impl Timers for SimClock {
    async fn until(&self, _call: &Call, wake_at: Timestamp) -> Wake {
        if wake_at <= self.now() { Wake::Due } else { Wake::Park }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done(Box<Finished>),
    Parked(Option<Timestamp>),
    Crashed,
    /// The journal could not be read or written.
    Fault(JournalError),
}

/// One process over a journal: it runs until the run ends, parks or crashes.
pub(super) struct Process<'a> {
    pub(super) engine: &'a Engine,
    pub(super) definition: &'a Definition,
    pub(super) input: &'a Value,
    pub(super) run: Uuid,
    pub(super) clock: &'a SimClock,
}

impl Process<'_> {
    /// Starts the run, or goes on with it.
    pub(super) async fn go(&self, journal: Arc<dyn Journal>, point: &CrashPoint) -> Ended {
        let ended = tokio::select! {
            biased;
            () = point.crashed() => Ended::Crashed,
            ended = self.drive(journal) => ended.unwrap_or_else(Ended::Fault),
        };
        // What a dying process still says does not count.
        if point.has_crashed() { Ended::Crashed } else { ended }
    }

    async fn drive(&self, journal: Arc<dyn Journal>) -> Result<Ended, JournalError> {
        let journal = Arc::new(RunJournal::open(journal, self.run).await?);
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
        let run = run.unwrap_or_else(|error| panic!("the input does not fit: {error}"));
        match self.engine.drive(&run).await {
            Driven::Parked(wait) => Ok(Ended::Parked(wait.wake_at)),
            Driven::Done(finished) => match journal.fault() {
                Some(fault) => Err(fault.clone()),
                None => Ok(Ended::Done(finished)),
            },
        }
    }
}
