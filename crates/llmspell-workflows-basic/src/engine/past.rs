//! The recorded progress of a resumed run.

use std::sync::{Arc, atomic::Ordering};

use super::{Asker, Outcome, Run, Scope, Slots, VisibleResult, Who};
use crate::{PathLink, Segment, StepPath, plan::Recovery, sync::lock};

impl Run {
    /// Restores the progress of a resumed run: whether its root step has ended, and whether
    /// cancellation was requested.
    pub(super) fn restore_progress(&self, cancel: Option<bool>) {
        let main = format!("/{}", self.plan.root.id);
        let has_ended = match self.engine.stack().recorded(self, &main) {
            Some(Outcome::Failed(_)) if matches!(self.plan.root.recovery, Recovery::Steps(_)) => {
                self.engine.stack().recorded(self, &format!("{main}/$on_error")).is_some()
            }
            recorded => recorded.is_some(),
        };
        self.has_ended_root.store(has_ended, Ordering::SeqCst);
        if let Some(compensates) = cancel {
            self.cancelled_by(&Asker::new(Who::Record), compensates);
        }
    }

    /// Returns whether the step at `path` is or contains an unsettled step: a sub-workflow that has
    /// not ended, or an activity that must not run twice. An earlier process began the unsettled
    /// step, which must be entered even if this run is stopped.
    pub(crate) fn is_unsettled(&self, path: &PathLink) -> bool {
        if self.unsettled.is_empty() {
            return false;
        }
        let path = path.to_path();
        self.unsettled.iter().any(|open| leads_to(&path, open))
    }

    /// Returns whether the step at `path` is entered even if the run is stopped: either its outcome
    /// is recorded, or it is or contains an unsettled step.
    pub(super) fn enters_stopped(&self, path: &PathLink) -> bool {
        !self.unsettled.is_empty()
            && (self.is_unsettled(path) || self.engine.stack().recorded(self, &path.to_string()).is_some())
    }

    /// Returns the scope of the root list, for steps that run after it.
    pub(crate) fn root_scope(&self) -> Option<Arc<Scope>> {
        let entered = lock(&self.root_scope).clone();
        entered.or_else(|| self.recorded_root_scope())
    }

    /// Returns the recorded scope of the root list, which is not entered again once it has ended.
    fn recorded_root_scope(&self) -> Option<Arc<Scope>> {
        let list = self.plan.root.body.list()?;
        let slots = Slots::new(list.nodes.len());
        for (number, id) in list.ids() {
            if let Some(ended) = self.recorded_result(&format!("/{}/{id}", self.plan.root.id)) {
                slots.set(number, ended);
            }
        }
        Some(Scope::list(None, list, &Arc::new(slots)))
    }

    /// Returns the recorded result of the last generation of the step at `path`, as other steps see it.
    fn recorded_result(&self, path: &str) -> Option<VisibleResult> {
        let last = lock(&self.generations).get(path).copied().unwrap_or(1);
        let last = self.reentered.get(path).copied().unwrap_or(last);
        let generations = (1..=last).rev().map(|generation| match generation {
            1 => path.to_owned(),
            later => format!("{path}~{later}"),
        });
        let mut recorded = generations.filter_map(|path| self.engine.stack().recorded(self, &path));
        VisibleResult::of(recorded.next()?)
    }
}

/// Returns whether the step at `inner` is the step at `outer` or inside it, in any iteration and generation.
fn leads_to(outer: &StepPath, inner: &StepPath) -> bool {
    let is_same = |(outer, inner): (&Segment, &Segment)| {
        outer.id == inner.id && (outer.iteration.is_none() || outer.iteration == inner.iteration)
    };
    inner.segments().len() >= outer.segments().len() && outer.segments().iter().zip(inner.segments()).all(is_same)
}
