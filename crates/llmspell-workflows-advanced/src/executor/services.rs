//! What an executor asks its hooks about runs as a whole, and what it knows of runs that events tell of.

use std::sync::{Arc, Mutex, Weak};

use llmspell_workflows_basic::{
    PathLink, StepPath,
    engine::{Asker, Extensions, Who},
};
use llmspell_workflows_hooks::{
    EventBus, Point,
    event::{PublishedByHost, RecordedEvent},
    point::WorkflowPause,
};
use llmspell_workflows_state::{Journal, JournalError, Listener, Record, RunJournal};
use serde_json::Value;
use uuid::Uuid;

use super::{Executor, Inner, RunControl, lock, owned::Live};
use crate::{ExecutorError, WorkflowEvent, home::Narrator};

impl Executor {
    /// Asks the hooks, and then lets no further leaf of `run` begin; [`RunControl::pause`] asks nobody.
    ///
    /// # Errors
    /// A hook forbids it, or one without which it does not happen has failed.
    pub async fn pause(&self, run: &RunControl) -> Result<(), ExecutorError> {
        self.inner.services.permit(WorkflowPause, run.id(), Value::Null).await?;
        run.pause();
        Ok(())
    }
}

/// An executor that its runs do not keep alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakExecutor(Weak<Inner>);

impl WeakExecutor {
    pub(crate) fn upgrade(&self) -> Option<Executor> {
        self.0.upgrade().map(|inner| Executor { inner })
    }
}

impl Executor {
    pub(crate) fn downgrade(&self) -> WeakExecutor {
        WeakExecutor(Arc::downgrade(&self.inner))
    }

    /// The records of a run as they stand now, what only this process has among them.
    pub(crate) async fn records(&self, run: Uuid) -> Result<Vec<Record>, ExecutorError> {
        self.inner.records(run).await
    }
}

impl Inner {
    /// The journal of a run, whose records are told as events where there is a bus.
    pub(super) async fn journal_in(&self, shared: Arc<dyn Journal>, run: Uuid) -> Result<RunJournal, JournalError> {
        let Some(bus) = &self.services.events else { return RunJournal::open(shared, run).await };
        let telling = Telling { bus: bus.clone(), run, steps: self.is_told(), narrator: Mutex::default() };
        let journal = RunJournal::open_reading(shared, run, |record| drop(telling.next(record))).await?;
        journal.listen(Arc::new(telling));
        Ok(journal)
    }

    /// Says on a run that its events are those of its records.
    pub(super) fn told(&self, extensions: Extensions) -> Extensions {
        if self.services.events.is_some() { extensions.with(PublishedByHost) } else { extensions }
    }

    /// Pauses a run that was told to by message `number`, unless a hook forbids it.
    pub(super) fn asked_to_pause(&self, live: &Arc<Live>, number: u64) {
        let hooks = self.services.hooks.as_ref().filter(|hooks| hooks.has_hooks_at(WorkflowPause::POINT));
        if hooks.is_none() {
            return live.pause(Asker::new(Who::User));
        }
        // Hooks take a while, and whoever reads messages holds up those that follow.
        let (services, live) = (self.services.clone(), live.clone());
        tokio::spawn(async move {
            match services.permit(WorkflowPause, live.id, Value::Null).await {
                Ok(()) => live.pause(Asker::new(Who::User)),
                Err(error) => {
                    live.seen.lock().await.overrule(number);
                    tracing::info!(target: "spellflow", run = %live.id, %error, "it is not paused");
                }
            }
        });
    }
}

/// Tells a bus what is recorded of a run.
#[derive(Debug)]
struct Telling {
    bus: EventBus,
    run: Uuid,
    /// Whether anybody listened when the run began or went on: others are told of the run as a whole alone.
    steps: bool,
    narrator: Mutex<Narrator>,
}

impl Telling {
    fn next(&self, record: &Record) -> Vec<WorkflowEvent> {
        let mut narrator = lock(&self.narrator);
        if self.steps { narrator.tell(record) } else { narrator.tell_of_run(record) }
    }
}

impl Listener for Telling {
    fn appended(&self, _: u64, record: &Record) {
        for event in self.next(record) {
            let WorkflowEvent { sequence, part, kind, path, timestamp, data } = event;
            let path: Option<StepPath> = path.parse().ok();
            let (run_id, path) = (self.run, path.as_ref().and_then(PathLink::of));
            self.bus.publish_recorded(RecordedEvent { run_id, sequence, part, kind, path, timestamp, data });
        }
    }
}
