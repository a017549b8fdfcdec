//! What an executor asks its hooks about runs as a whole, and what it knows of runs that events tell of.

use std::sync::{Arc, Weak};

use llmspell_workflows_basic::engine::Extensions;
use llmspell_workflows_hooks::{
    Point,
    event::{Entry, Hosted},
    point::WorkflowPause,
};
use llmspell_workflows_state::Record;
use serde_json::Value;
use uuid::Uuid;

use super::{Executor, Inner, RunControl, owned::Live};
use crate::ExecutorError;

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
    /// What events of the run need to say why it is driven.
    pub(super) fn hosted(self: &Arc<Self>, run: Uuid, entry: Entry, extensions: Extensions) -> Extensions {
        if self.services.events.is_none() {
            return extensions;
        }
        let inner = Arc::downgrade(self);
        extensions.with(Hosted::new(entry, move || {
            let live = inner.upgrade().and_then(|inner| inner.registry.find(run));
            live.is_some_and(|live| live.is_paused())
        }))
    }

    /// Pauses a run that was told to by message `number`, unless a hook forbids it.
    pub(super) fn asked_to_pause(&self, live: &Arc<Live>, number: u64) {
        let hooks = self.services.hooks.as_ref().filter(|hooks| hooks.has_hooks_at(WorkflowPause::POINT));
        if hooks.is_none() {
            return live.pause();
        }
        // Hooks take a while, and whoever reads messages holds up those that follow.
        let (services, live) = (self.services.clone(), live.clone());
        tokio::spawn(async move {
            match services.permit(WorkflowPause, live.id, Value::Null).await {
                Ok(()) => live.pause(),
                Err(error) => {
                    live.seen.lock().await.overrule(number);
                    tracing::info!(target: "spellflow", run = %live.id, %error, "it is not paused");
                }
            }
        });
    }
}
