//! Builds cleanup steps: compensation steps and `finally`.

use std::sync::Arc;

use super::{Builder, Node, Role};
use crate::{
    ProblemLocation, StepId,
    engine::Slice,
    model::{Delay, Effect, Step, StepKind, Steps},
};

impl Builder<'_> {
    /// Builds the step that undoes the step at `path`; it sees the names `input`, `output` and `certain`.
    pub(super) fn undo(&mut self, undone: &Arc<Step>, undo: &Arc<Step>, path: &str, depth: usize) -> Arc<Node> {
        let place = format!("{path}/$undo");
        if let Some(field) = forbidden_field(undo) {
            let message = format!("a compensation cannot have `{field}`");
            self.error("invalid_compensation", ProblemLocation::new(&*place, field), message);
        }
        let node = self.undoing(undone, |builder| {
            builder.is_cleanup_step = true;
            builder.node(undo, &place, depth + 1)
        });
        self.add(Node { id: StepId::system("$undo"), role: Role::Block, ..node })
    }

    /// Builds the list of the `finally` steps.
    pub(super) fn finally(&mut self, steps: &Steps) -> Arc<Node> {
        let step = Arc::new(Step::new("$finally", StepKind::Sequence(steps.clone())));
        self.is_cleanup_list = true;
        let node = self.synthetic(StepId::system("$finally"), step, "/main/$finally", 1, Role::Block);
        debug_assert!(!self.is_cleanup_list, "the list of steps has been built");
        node
    }

    /// Returns the interceptors that apply to `step` if its time is limited.
    pub(super) fn bounded_slice(&self, step: &Step) -> Slice {
        let limited = Some(Delay::Fixed(self.engine.limits().cleanup_step_max));
        let total_timeout = step.total_timeout.clone().or(limited);
        self.engine.stack().slice(&Step { total_timeout, ..step.clone() })
    }
}

/// Returns whether a cleanup step needs a default time limit, because the definition sets none and
/// the step might not end otherwise.
pub(super) fn needs_limit(step: &Step) -> bool {
    let is_limited = step.timeout.is_some() || step.total_timeout.is_some();
    let traits = step.kind.traits();
    // A leaf that has no effects and does not wait for a signal ends on its own.
    !is_limited && (!step.kind.is_leaf() || traits.effect != Effect::None || traits.waits_for_signal)
}

/// Returns a field of `undo` that a compensation step cannot have.
fn forbidden_field(undo: &Step) -> Option<&'static str> {
    [
        (!undo.dependencies.is_empty(), "dependencies"),
        (!undo.next.is_empty(), "next_step"),
        (undo.compensate.is_some(), "compensate"),
    ]
    .into_iter()
    .find_map(|(has, field)| has.then_some(field))
}
