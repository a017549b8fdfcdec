use std::sync::{
    Arc,
    atomic::{AtomicI32, AtomicI64, Ordering},
};

use jiff::Timestamp;

use super::{Cancel, Run, Scope};
use crate::{PathLink, state::WorkflowState};

/// The context that a call shares with its siblings.
pub(crate) struct CallContext {
    pub(crate) run: Arc<Run>,
    /// The path of the enclosing step; `None` at the root.
    pub(crate) parent: Option<PathLink>,
    /// The enclosing lists, loops and names.
    pub(crate) scope: Option<Arc<Scope>>,
    /// The state that the step sees.
    pub(crate) state: Arc<WorkflowState>,
    pub(crate) cancel: Cancel,
    /// The time by which the enclosing steps must have ended.
    pub(crate) deadline: Option<Timestamp>,
    /// When the previous sibling ended, if siblings run in sequence; the next
    /// sibling begins at that time.
    pub(crate) ended_at: EndTime,
    /// Whether children run in sequence.
    pub(crate) in_order: bool,
}

/// The time at which a step ended, as seconds and nanoseconds; zero if no step has ended.
///
/// Used by only one task at a time.
#[derive(Default)]
pub(crate) struct EndTime(AtomicI64, AtomicI32);

impl EndTime {
    fn set(&self, time: Timestamp) {
        self.0.store(time.as_second(), Ordering::Relaxed);
        self.1.store(time.subsec_nanosecond(), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = (self.0.load(Ordering::Relaxed), self.1.load(Ordering::Relaxed));
        Timestamp::new(seconds, nanoseconds).ok().filter(|_| seconds != 0)
    }

    fn take(&self) -> Option<Timestamp> {
        let time = self.get();
        self.0.store(0, Ordering::Relaxed);
        time
    }
}

impl CallContext {
    pub(crate) fn new(
        run: Arc<Run>,
        parent: Option<PathLink>,
        scope: Option<Arc<Scope>>,
        state: Arc<WorkflowState>,
        cancel: Cancel,
    ) -> Self {
        Self { run, parent, scope, state, cancel, deadline: None, ended_at: EndTime::default(), in_order: false }
    }

    /// Marks the children as running in sequence.
    pub(crate) fn in_order(self) -> Self {
        Self { in_order: true, ..self }
    }

    /// Returns when a step begins: the time at which the previous step ended, or the current time.
    pub(super) fn begins_at(&self) -> Timestamp {
        self.ended_at.take().unwrap_or_else(|| self.run.now())
    }

    /// Records the end of a step whose next sibling begins immediately.
    pub(super) fn record_end(&self, ended_at: Timestamp) {
        self.ended_at.set(ended_at);
    }
}

impl Clone for CallContext {
    fn clone(&self) -> Self {
        let Self { run, parent, scope, state, cancel, deadline, ended_at, in_order } = self;
        let new = Self::new(run.clone(), parent.clone(), scope.clone(), state.clone(), cancel.clone());
        if let Some(time) = ended_at.get() {
            new.ended_at.set(time);
        }
        Self { deadline: *deadline, in_order: *in_order, ..new }
    }
}
