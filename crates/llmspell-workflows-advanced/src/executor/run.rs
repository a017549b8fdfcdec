use std::{
    fmt,
    sync::{Arc, Weak},
};

use llmspell_workflows_basic::{
    Finished, Plan, Run, StepError,
    engine::{Asker, Wait},
};
use llmspell_workflows_state::RunJournal;
use uuid::Uuid;

use super::{
    lock,
    owned::{Live, Owned},
};

/// A durable run that the holder of this owns: nobody else in this process can resume or change it meanwhile.
///
/// [`Executor::drive`](super::Executor::drive) drives it where it is called, [`Executor::spawn`](super::Executor::spawn)
/// in a task of its own. Dropped, the run is released as it stands in its journal, and can be resumed.
#[must_use = "a run that nobody drives does nothing"]
pub struct DurableRun {
    pub(super) run: Arc<Run>,
    pub(super) plan: Arc<Plan>,
    pub(super) journal: Arc<RunJournal>,
    pub(super) owned: Owned,
}

/// Pauses, cancels or shuts down a run while someone else drives it. It does not own the run.
#[derive(Clone)]
pub struct RunControl {
    id: Uuid,
    live: Weak<Live>,
}

/// How far a run was driven.
#[derive(Debug)]
pub enum DurableEnd {
    /// It has ended, and that is recorded.
    Finished(Box<Finished>),
    /// All of its live branches wait; it continues when it is resumed.
    Waiting(Wait),
    /// The outcome of these steps is unknown; each has to be resolved: see
    /// [`Executor::resolve`](super::Executor::resolve).
    Stuck(Vec<(String, StepError)>),
    /// It was paused, or its process is shutting down; it continues when it is resumed.
    Paused,
    /// Nobody here drives it any more: while it was parked its executor was dropped, or someone else took the run over.
    Released,
}

impl DurableRun {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.run.id()
    }

    /// The run itself.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// What it executes.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What pauses or cancels it while it is driven.
    #[must_use]
    pub fn control(&self) -> RunControl {
        RunControl { id: self.id(), live: Arc::downgrade(&self.owned.live) }
    }
}

impl RunControl {
    /// The id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the run is still owned as it was when this was made; a run that was parked and woken is not.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.live.strong_count() > 0
    }

    /// Cancels the run for good.
    pub fn cancel(&self) {
        self.with_run(|run| run.cancel());
    }

    /// Stops the run so that it can be resumed; steps at work are cancelled and run again then.
    pub fn shut_down(&self) {
        if let Some(live) = self.live.upgrade() {
            live.leave();
        }
        self.with_run(|run| run.shut_down());
    }

    /// Lets no further leaf begin; the run is driven until those at work have ended.
    ///
    /// No hook is asked; [`Executor::pause`](super::Executor::pause) asks them.
    pub fn pause(&self) {
        if let Some(live) = self.live.upgrade() {
            live.pause(Asker::default());
        }
    }

    fn with_run(&self, act: impl Fn(&Run)) {
        if let Some(live) = self.live.upgrade() {
            lock(&live.run).iter().for_each(|run| act(run));
        }
    }
}

impl fmt::Debug for DurableRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable run {}", self.id())
    }
}

impl fmt::Debug for RunControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control of run {}", self.id)
    }
}
