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

/// A durable run and its ownership: nothing else in this process can resume or change it meanwhile.
///
/// [`Executor::drive`](super::Executor::drive) drives it in the current task,
/// [`Executor::spawn`](super::Executor::spawn) in a background task. Dropping it releases the run, which can then be
/// resumed from its journal.
#[must_use = "a run makes no progress unless it is driven"]
pub struct DurableRun {
    pub(super) run: Arc<Run>,
    pub(super) plan: Arc<Plan>,
    pub(super) journal: Arc<RunJournal>,
    pub(super) owned: OwnedRun,
}

/// A handle that pauses, cancels or shuts down a run while it is driven elsewhere. It does not own the run.
#[derive(Clone)]
pub struct RunControl {
    id: Uuid,
    live: Weak<LiveRun>,
}

/// How driving a run ended.
#[derive(Debug)]
pub enum DurableEnd {
    /// The run has ended, and its end is recorded.
    Finished(Box<Finished>),
    /// All live branches wait; the run continues when it is resumed.
    Waiting(Wait),
    /// The outcome of these steps is unknown; resolve each with [`Executor::resolve`](super::Executor::resolve).
    Stuck(Vec<(String, StepError)>),
    /// The run was paused, or its process is shutting down; it continues when it is resumed.
    Paused,
    /// The run is no longer driven here: while it was parked, its executor was dropped or another owner took it over.
    Released,
}

impl DurableRun {
    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.run.id()
    }

    /// Returns the run itself.
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

    /// Whether the run still has the owner that it had when this was created; a run that was parked and woken has not.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.live.strong_count() > 0
    }

    /// Cancels the run permanently.
    pub fn cancel(&self) {
        self.with_run(|run| run.cancel());
    }

    /// Stops the run so that it can be resumed; running steps are cancelled and run again then.
    pub fn shut_down(&self) {
        if let Some(live) = self.live.upgrade() {
            live.hold_for_shutdown();
        }
        self.with_run(|run| run.shut_down());
    }

    /// Pauses the run: no further leaf starts, and running leaves finish.
    ///
    /// Does not ask hooks; [`Executor::pause`](super::Executor::pause) does.
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
