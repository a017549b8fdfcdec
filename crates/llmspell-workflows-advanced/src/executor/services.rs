//! Calls the hooks that concern whole runs, and publishes recorded events.

use std::sync::{Arc, Mutex, Weak};

use llmspell_workflows_basic::{
    PathLink, StepPath,
    engine::{Asker, Extensions, Who},
    targets,
};
use llmspell_workflows_hooks::{
    EventBus, Point,
    event::{PublishedByHost, RecordedEvent},
    point::WorkflowPause,
};
use llmspell_workflows_state::{Journal, JournalError, Listener, Record, RunJournal};
use serde_json::Value;
use uuid::Uuid;

use super::{Executor, Inner, RunControl, lock, owned::LiveRun};
use crate::{ExecutorError, WorkflowEvent, home::EventBuilder};

impl Executor {
    /// Pauses `run` if hooks permit it: no further leaves start. [`RunControl::pause`] does not ask hooks.
    ///
    /// # Errors
    /// Returns an error if a hook forbids the pause or a required hook failed.
    pub async fn pause(&self, run: &RunControl) -> Result<(), ExecutorError> {
        self.inner.services.permit(WorkflowPause, run.id(), Value::Null).await?;
        run.pause();
        Ok(())
    }
}

/// A weak reference to an executor, held by its runs.
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

    /// Returns the current records of a run, including records that this process has not written
    /// yet.
    pub(crate) async fn records(&self, run: Uuid) -> Result<Vec<Record>, ExecutorError> {
        self.inner.records(run).await
    }
}

impl Inner {
    /// Opens the journal of a run; its records are published as events if there is an event bus.
    ///
    /// Trailing records of a rewind or a redefinition are also published. They were written before
    /// the run was brought in and have not been published yet.
    pub(super) async fn journal_in(&self, shared: Arc<dyn Journal>, run: Uuid) -> Result<RunJournal, JournalError> {
        let masker = self.engine.masker();
        let Some(bus) = &self.services.events else {
            return RunJournal::open_with(shared, run, masker, |_| ()).await;
        };
        let publisher =
            EventPublisher { bus: bus.clone(), run, steps: self.has_subscribers(), builder: Mutex::default() };
        let mut last = Vec::new();
        let journal = RunJournal::open_with(shared, run, masker, |record| {
            let events = publisher.next(record);
            if !matches!(record, Record::Rewound(_) | Record::Redefined(_)) {
                last.clear();
                return;
            }
            last.extend(events);
        })
        .await?;
        last.into_iter().for_each(|event| publisher.publish(event));
        journal.listen(Arc::new(publisher));
        Ok(journal)
    }

    /// Marks the events of a run as published from its records, if there is an event bus.
    pub(super) fn mark_recorded_events(&self, extensions: Extensions) -> Extensions {
        if self.services.events.is_some() { extensions.with(PublishedByHost) } else { extensions }
    }

    /// Pauses a run as requested by message `number`, unless a hook forbids the pause.
    pub(super) fn request_pause(&self, live: &Arc<LiveRun>, number: u64) {
        let hooks = self.services.hooks.as_ref().filter(|hooks| hooks.has_hooks_at(WorkflowPause::POINT));
        if hooks.is_none() {
            return live.pause(Asker::new(Who::User));
        }
        // Hooks can take a while and must not delay the messages that follow, so they are called in a separate task.
        let (services, live) = (self.services.clone(), live.clone());
        tokio::spawn(async move {
            match services.permit(WorkflowPause, live.id, Value::Null).await {
                Ok(()) => live.pause(Asker::new(Who::User)),
                Err(error) => {
                    live.inbox.lock().await.ignore_pauses(number);
                    tracing::info!(target: targets::RUN, run = %live.id, %error, "not paused");
                }
            }
        });
    }
}

/// Publishes the records of a run as events.
#[derive(Debug)]
struct EventPublisher {
    bus: EventBus,
    run: Uuid,
    /// Whether step events are published: `true` if the bus had a subscriber when the run was started or resumed.
    steps: bool,
    builder: Mutex<EventBuilder>,
}

impl EventPublisher {
    fn next(&self, record: &Record) -> Vec<WorkflowEvent> {
        let mut builder = lock(&self.builder);
        if self.steps { builder.events_of(record) } else { builder.run_events_of(record) }
    }
}

impl EventPublisher {
    fn publish(&self, event: WorkflowEvent) {
        let WorkflowEvent { sequence, part, kind, path, timestamp, data } = event;
        let path: Option<StepPath> = path.parse().ok();
        let (run_id, path) = (self.run, path.as_ref().and_then(PathLink::of));
        self.bus.publish_recorded(RecordedEvent { run_id, sequence, part, kind, path, timestamp, data });
    }
}

impl Listener for EventPublisher {
    fn appended(&self, _: u64, record: &Record) {
        self.next(record).into_iter().for_each(|event| self.publish(event));
    }
}
