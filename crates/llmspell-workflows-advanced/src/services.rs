//! The hooks and events of an executor.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_hooks::{
    Course, EventBus, HookDispatcher, HostPoint, Point,
    event::{EventData, EventKind},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{ExecutorError, workflow::SESSION};

/// The hooks and the event bus of an executor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    pub(crate) hooks: Option<Arc<HookDispatcher>>,
    pub(crate) events: Option<EventBus>,
}

impl Services {
    /// Checks that the hooks at `point` permit the operation on `run`.
    pub(crate) async fn permit<P: Point>(&self, point: P, run: Uuid, data: Value) -> Result<(), ExecutorError> {
        let Some(hooks) = self.hooks.as_ref().filter(|hooks| hooks.has_hooks_at(P::POINT)) else { return Ok(()) };
        let host = HostPoint { run_id: Some(run), path: String::new(), data };
        let reason = match hooks.fire(point, host).await.map(|verdict| verdict.course) {
            Ok(Course::Cancel(reason)) => reason,
            Ok(_) => return Ok(()),
            // A required hook failed.
            Err(error) => error.message,
        };
        Err(ExecutorError::Forbidden { run, point: P::POINT, reason })
    }

    /// Correlates the events of `run` with the session in `labels`, until the returned guard is dropped.
    pub(crate) fn correlate(&self, run: Uuid, labels: &BTreeMap<String, String>) -> SessionCorrelation {
        let session = labels.get(SESSION).filter(|_| self.events.is_some());
        let events = self.events.clone().filter(|_| session.is_some());
        if let (Some(events), Some(session)) = (&events, session) {
            events.correlations().set(run, session.as_str());
        }
        SessionCorrelation { run, events }
    }

    pub(crate) fn publish(&self, kind: EventKind, run: Uuid, at: Timestamp, data: impl FnOnce() -> EventData) {
        if let Some(events) = &self.events {
            events.publish_unrecorded(kind, run, at, data);
        }
    }
}

/// A guard that keeps the events of a run correlated with its session.
pub(crate) struct SessionCorrelation {
    run: Uuid,
    events: Option<EventBus>,
}

impl SessionCorrelation {
    /// Keeps the correlation after the guard is dropped.
    pub(crate) fn keep(mut self) {
        self.events = None;
    }
}

impl Drop for SessionCorrelation {
    fn drop(&mut self) {
        if let Some(events) = &self.events {
            events.correlations().forget(self.run);
        }
    }
}
