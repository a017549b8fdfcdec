use std::{fmt, sync::Arc};

use super::{Happening, Interceptor, Run, Slice};
use crate::model::Step;

/// Where in the stack an interceptor stands, outermost first, each with its reason.
///
/// An engine fills [`Trace`](Self::Trace), [`TotalTimeout`](Self::TotalTimeout), [`Retry`](Self::Retry),
/// [`Limits`](Self::Limits) and [`AttemptTimeout`](Self::AttemptTimeout) itself; a host may add to these too. The others
/// are a host's to fill. Two things are not interceptors and surround the whole stack: `on_error`, which handles what
/// comes out of it, and around that the note of what a step with `compensate` was called with and how it ended, from
/// which the run undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Sees everything, also what the others answer by themselves.
    Trace,
    /// Answers for what is recorded before anything else happens again.
    Journal,
    /// Once per entry into a step, not per attempt; what they answer is recorded.
    Hooks,
    /// For an interceptor that answers with an earlier output and does not call `next`: a hit spares all that follows,
    /// while hooks and the journal see it like any other output.
    Cache,
    /// For an interceptor that files what failed for good: it sees a failure only after the last attempt.
    DeadLetter,
    /// Bounds all attempts and the delays between them.
    TotalTimeout,
    /// Tries again what lies within.
    Retry,
    /// For an interceptor that refuses attempts while what they need is down: each refusal counts as a failed attempt to
    /// the retry around it, and takes no permit.
    Breaker,
    /// Waiting for a permit does not count against the attempt's time.
    Limits,
    /// Bounds one attempt.
    AttemptTimeout,
}

/// The interceptors of an engine, in the one order there is.
#[derive(Clone, Default)]
pub struct Stack {
    layers: Vec<(Position, Arc<dyn Interceptor>)>,
}

impl Stack {
    /// A stack with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an interceptor at `position`; of two at one position the first added is the outer one.
    #[must_use]
    pub fn with(mut self, position: Position, interceptor: Arc<dyn Interceptor>) -> Self {
        let end = self.layers.partition_point(|(other, _)| *other <= position);
        self.layers.insert(end, (position, interceptor));
        self
    }

    /// Tells all interceptors what happens to `run`.
    pub(crate) fn observe(&self, run: &Run, happening: Happening<'_>) {
        self.layers.iter().for_each(|(_, layer)| layer.observe(run, happening));
    }

    /// The interceptors that concern `step`.
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
