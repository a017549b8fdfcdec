use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Asker, Call, Decision, DecisionPoint, Outcome, Run, Warning, execute};
use crate::{StepError, StepPath, model::Step};

/// Code that runs around steps and their decisions.
///
/// The journal, hooks, retries and timeouts are interceptors. Each is asked once per step whether
/// it applies, so unused interceptors cost nothing. An interceptor may call `next` any number of
/// times: not at all to answer in place of the step, or more than once to retry.
///
/// ```
/// use async_trait::async_trait;
/// use llmspell_workflows_basic::{engine::{Call, Interceptor, Next, Outcome}, model::Step};
///
/// struct Print;
///
/// #[async_trait]
/// impl Interceptor for Print {
///     fn applies(&self, step: &Step) -> bool {
///         step.kind.is_leaf()
///     }
///
///     async fn intercept(&self, call: Call, next: Next) -> Outcome {
///         println!("{} begins", call.path());
///         next.run(call).await
///     }
/// }
/// ```
#[async_trait]
pub trait Interceptor: Send + Sync {
    /// Returns whether the interceptor applies to `step`; called once per step when a definition is prepared.
    fn applies(&self, step: &Step) -> bool {
        let _ = step;
        true
    }

    /// Wraps the execution of a step; the default implementation changes nothing.
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        next.run(call).await
    }

    /// Wraps the lookup of a recorded decision; the default implementation asks the inner interceptors.
    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        next.run(point).await
    }

    /// Wraps a new decision; the default implementation leaves the decision unchanged.
    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        next.run(point, decision).await
    }

    /// Returns the recorded outcome of the step at `path`, if this interceptor has one.
    fn recorded(&self, run: &Run, path: &str) -> Option<Outcome> {
        let _ = (run, path);
        None
    }

    /// Observes an event that concerns the run as a whole; must not block.
    fn observe(&self, run: &Run, happening: Happening<'_>) {
        let _ = (run, happening);
    }
}

/// An event that concerns a run as a whole.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'a> {
    /// An engine begins to drive the run, for the first time or again.
    Begins,
    /// The run has ended, is waiting or is stuck; any compensation and `finally`
    /// steps come before this event.
    Ends(&'a Outcome),
    /// The run has a warning.
    Warns(&'a Warning),
    /// Cancellation of the run is requested for the first time, or compensation is additionally
    /// requested. A run that is already cleaning up finishes its cleanup.
    Cancels {
        /// Who requested the cancellation.
        by: &'a Asker,
        /// Whether the run must undo its steps.
        compensates: bool,
    },
    /// The run begins to undo the sub-workflow of an ended step.
    UndoesChild {
        /// The path of the step.
        path: &'a StepPath,
        /// The run of the sub-workflow.
        child: Uuid,
    },
}

/// The interceptors of one step, outermost first.
pub(crate) type Slice = Arc<[Arc<dyn Interceptor>]>;

/// The remaining interceptors around a step, and the step itself.
#[derive(Clone)]
pub struct Next {
    slice: Slice,
    position: usize,
}

impl Next {
    pub(crate) fn new(slice: Slice) -> Self {
        Self { slice, position: 0 }
    }

    /// Continues with `call`, which may be modified.
    #[must_use]
    pub fn run(mut self, call: Call) -> BoxFuture<'static, Outcome> {
        match self.slice.get(self.position).cloned() {
            Some(interceptor) => {
                self.position += 1;
                Box::pin(async move { interceptor.intercept(call, self).await })
            }
            None => Box::pin(execute::perform(call)),
        }
    }
}

/// The remaining interceptors of a decision.
#[derive(Clone, Copy)]
pub struct NextDecision<'a> {
    slice: &'a [Arc<dyn Interceptor>],
}

impl<'a> NextDecision<'a> {
    pub(crate) fn new(slice: &'a [Arc<dyn Interceptor>]) -> Self {
        Self { slice }
    }

    /// Continues with `decision`, which may be modified.
    ///
    /// # Errors
    /// Fails if an inner interceptor rejects the decision.
    pub async fn run(self, point: DecisionPoint<'a>, decision: Decision) -> Result<Decision, StepError> {
        match self.slice.split_first() {
            Some((first, rest)) => first.decide(point, decision, Self { slice: rest }).await,
            None => Ok(decision),
        }
    }
}

/// The remaining interceptors that look up a recorded decision.
#[derive(Clone, Copy)]
pub struct NextRecall<'a> {
    slice: &'a [Arc<dyn Interceptor>],
}

impl<'a> NextRecall<'a> {
    pub(crate) fn new(slice: &'a [Arc<dyn Interceptor>]) -> Self {
        Self { slice }
    }

    /// Asks the inner interceptors.
    ///
    /// # Errors
    /// Fails if an inner interceptor cannot read its records.
    pub async fn run(self, point: DecisionPoint<'a>) -> Result<Option<Decision>, StepError> {
        match self.slice.split_first() {
            Some((first, rest)) => first.recall(point, Self { slice: rest }).await,
            None => Ok(None),
        }
    }
}
