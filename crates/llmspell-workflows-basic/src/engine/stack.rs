use std::{fmt, sync::Arc};

use super::{Happening, Interceptor, Outcome, Run, Slice};
use crate::model::Step;

/// The positions of interceptors in the stack, outermost first.
///
/// An engine fills [`Trace`](Self::Trace), [`TotalTimeout`](Self::TotalTimeout),
/// [`Retry`](Self::Retry), [`Limits`](Self::Limits) and [`AttemptTimeout`](Self::AttemptTimeout)
/// itself. A host fills the other positions, and may add interceptors at these positions too. Two
/// parts of the engine surround the whole stack but are not interceptors. The inner part is
/// `on_error`, which handles the step's failure. The outer part records the input and outcome of a
/// step with `compensate`; the run uses this record to undo the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Sees everything, including the answers of the other interceptors.
    Trace,
    /// Returns the recorded outcomes of steps that have ended, so that inner interceptors do not
    /// run again for them.
    Journal,
    /// Calls hooks once per generation of a step, not once per attempt; their answers are recorded.
    Hooks,
    /// For an interceptor that answers with an earlier output instead of calling `next`. A hit
    /// skips all inner interceptors and the step, while hooks and the journal treat it like any
    /// other output.
    Cache,
    /// For an interceptor that stores failed steps: it sees a failure only after the last attempt.
    DeadLetter,
    /// Limits the total time of all attempts and the delays between them.
    TotalTimeout,
    /// Retries everything inside it.
    Retry,
    /// For an interceptor that rejects attempts while a service is down. The enclosing retry counts
    /// each rejection as a failed attempt, and a rejected attempt takes no permit.
    Breaker,
    /// Waits for the permits of named limits; the wait does not count towards the attempt's time.
    Limits,
    /// Limits the time of one attempt.
    AttemptTimeout,
}

/// The interceptors of an engine, in their fixed order.
#[derive(Clone, Default)]
pub struct Stack {
    layers: Vec<(Position, Arc<dyn Interceptor>)>,
}

impl Stack {
    /// Creates an empty stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an interceptor at `position`. If two interceptors have the same position, the one added
    /// first is the outer one.
    #[must_use]
    pub fn with(mut self, position: Position, interceptor: Arc<dyn Interceptor>) -> Self {
        let end = self.layers.partition_point(|(other, _)| *other <= position);
        self.layers.insert(end, (position, interceptor));
        self
    }

    /// Reports an event of `run` to all interceptors.
    pub(crate) fn observe(&self, run: &Run, happening: Happening<'_>) {
        self.layers.iter().for_each(|(_, layer)| layer.observe(run, happening));
    }

    /// Returns the recorded outcome of the step at `path` of `run`, if an interceptor has one.
    pub(crate) fn recorded(&self, run: &Run, path: &str) -> Option<Outcome> {
        self.layers.iter().find_map(|(_, layer)| layer.recorded(run, path))
    }

    /// Returns the interceptors that apply to `step`.
    pub(crate) fn slice(&self, step: &Step) -> Slice {
        let concerned = self.layers.iter().filter(|(_, layer)| layer.applies(step));
        concerned.map(|(_, layer)| layer.clone()).collect()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|(position, _)| position)).finish()
    }
}
