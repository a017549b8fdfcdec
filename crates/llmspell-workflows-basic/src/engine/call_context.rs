use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
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
    /// When the previous sibling ended, if siblings run one after the other; the next sibling begins at that time.
    pub(crate) ended_at_ns: AtomicI64,
    /// Whether children run one after the other.
    pub(crate) in_order: bool,
}

impl CallContext {
    pub(crate) fn new(
        run: Arc<Run>,
        parent: Option<PathLink>,
        scope: Option<Arc<Scope>>,
        state: Arc<WorkflowState>,
        cancel: Cancel,
    ) -> Self {
        Self { run, parent, scope, state, cancel, deadline: None, ended_at_ns: AtomicI64::new(0), in_order: false }
    }

    /// Marks the children as running one after the other.
    pub(crate) fn in_order(self) -> Self {
        Self { in_order: true, ..self }
    }

    /// Returns when a step begins: the time at which the previous step ended, or the current time.
    pub(super) fn begins_at(&self) -> Timestamp {
        let ended_at = self.ended_at_ns.load(Ordering::Relaxed);
        if ended_at == 0 {
            return self.run.now();
        }
        // Siblings run one after the other, so there is no concurrent access.
        self.ended_at_ns.store(0, Ordering::Relaxed);
        Timestamp::from_nanosecond(ended_at.into()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Records the end of a step whose next sibling begins immediately.
    pub(super) fn record_end(&self, ended_at: Timestamp) {
        self.ended_at_ns.store(i64::try_from(ended_at.as_nanosecond()).unwrap_or(0), Ordering::Relaxed);
    }
}

impl Clone for CallContext {
    fn clone(&self) -> Self {
        let Self { run, parent, scope, state, cancel, deadline, ended_at_ns, in_order } = self;
        let ended_at_ns = AtomicI64::new(ended_at_ns.load(Ordering::Relaxed));
        let new = Self::new(run.clone(), parent.clone(), scope.clone(), state.clone(), cancel.clone());
        Self { deadline: *deadline, ended_at_ns, in_order: *in_order, ..new }
    }
}
