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
    owned::{LiveRun, OwnedRun},
};

/// An owned durable run. Nothing else in this process can resume or change the run until the value
/// is dropped.
///
/// [`Executor::drive`](super::Executor::drive) drives it in the current task, and
/// [`Executor::spawn`](super::Executor::spawn) drives it in a background task. Dropping it
/// releases the run, which can then be resumed from its journal.
#[must_use = "a run makes no progress unless it is driven"]
pub struct DurableRun {
    pub(super) run: Arc<Run>,
    pub(super) plan: Arc<Plan>,
    pub(super) journal: Arc<RunJournal>,
    pub(super) owned: OwnedRun,
}

/// A handle that can pause, cancel or shut down a run while another task drives it. It does not own the run.
#[derive(Clone)]
pub struct RunControl {
    id: Uuid,
    live: Weak<LiveRun>,
}

/// How driving a run ended.
#[derive(Debug)]
pub enum DurableEnd {
    /// The run has ended, and its end has been recorded.
    Finished(Box<Finished>),
    /// All live branches of the run wait; the run continues when it is resumed.
    Waiting(Wait),
    /// The outcome of these steps is unknown; resolve each with [`Executor::resolve`](super::Executor::resolve).
    Stuck(Vec<(String, StepError)>),
    /// The run was paused, or its process is shutting down; it continues when it is resumed.
    Paused,
    /// The executor no longer drives the run: while the run was parked, the executor was dropped or
    /// another owner took over the run.
    Released,
}

impl DurableRun {
    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.run.id()
    }

    /// Returns the run.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// Returns the plan that the run executes.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Returns a handle that pauses or cancels the run while it is driven.
    #[must_use]
    pub fn control(&self) -> RunControl {
        RunControl { id: self.id(), live: Arc::downgrade(&self.owned.live) }
    }
}

impl RunControl {
    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns whether the run still has the same owner as when this control was created. A run
    /// that was parked and woken has a new owner.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.live.strong_count() > 0
    }

    /// Cancels the run permanently.
    pub fn cancel(&self) {
        self.with_run(|run| run.cancel());
    }

    /// Stops the run so that it can be resumed. Running steps are cancelled, and run again when the run is resumed.
    pub fn shut_down(&self) {
        if let Some(live) = self.live.upgrade() {
            live.hold_for_shutdown();
        }
        self.with_run(|run| run.shut_down());
    }

    /// Pauses the run: no further leaves start, and running leaves finish.
    ///
    /// Unlike [`Executor::pause`](super::Executor::pause), this does not consult hooks.
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
