use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{Asker, Call, Decision, DecisionPoint, Outcome, Run, Warning, execute};
use crate::{StepError, model::Step};

/// Code around steps and their choices.
///
/// Journal, hooks, retry, timeouts: each is one. They are asked once per step whether they apply, so what is not asked
/// for costs nothing. An interceptor calls `next` as often as it wants: not at all to answer itself, more than once to
/// try again.
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
    /// Whether it concerns `step`; asked once per step when a definition is prepared.
    fn applies(&self, step: &Step) -> bool {
        let _ = step;
        true
    }

    /// Goes around the execution of a step.
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        next.run(call).await
    }

    /// Goes around the question of how a choice was made before; by default nobody knows.
    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        next.run(point).await
    }

    /// Goes around a choice; by default it stands.
    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        next.run(point, decision).await
    }

    /// Is told what happens to a run as a whole; it answers nothing, and must not block.
    fn observe(&self, run: &Run, happening: Happening<'_>) {
        let _ = (run, happening);
    }
}

/// What happens to a run as a whole.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'a> {
    /// It is driven, for the first time or again.
    Begins,
    /// It has ended or waits, with everything that runs after its root step.
    Ends(&'a Outcome),
    /// Something odd did not keep it from going on.
    Warns(&'a Warning),
    /// Somebody asks it to stop for good, for the first time.
    Cancels {
        /// Who.
        by: &'a Asker,
        /// Whether it is to undo what it did.
        compensates: bool,
    },
}

/// The interceptors of one step, outermost first.
pub(crate) type Slice = Arc<[Arc<dyn Interceptor>]>;

/// The rest of the way to the step itself.
#[derive(Clone)]
pub struct Next {
    slice: Slice,
    position: usize,
}

impl Next {
    pub(crate) fn new(slice: Slice) -> Self {
        Self { slice, position: 0 }
    }

    /// Goes on with `call`, which may have been changed.
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

/// The rest of the way to a choice.
#[derive(Clone, Copy)]
pub struct NextDecision<'a> {
    slice: &'a [Arc<dyn Interceptor>],
}

impl<'a> NextDecision<'a> {
    pub(crate) fn new(slice: &'a [Arc<dyn Interceptor>]) -> Self {
        Self { slice }
    }

    /// Goes on with `decision`, which may have been changed.
    ///
    /// # Errors
    /// An interceptor further in refuses the choice.
    pub async fn run(self, point: DecisionPoint<'a>, decision: Decision) -> Result<Decision, StepError> {
        match self.slice.split_first() {
            Some((first, rest)) => first.decide(point, decision, Self { slice: rest }).await,
            None => Ok(decision),
        }
    }
}

/// The rest of the way to a question of how a choice was made before.
#[derive(Clone, Copy)]
pub struct NextRecall<'a> {
    slice: &'a [Arc<dyn Interceptor>],
}

impl<'a> NextRecall<'a> {
    pub(crate) fn new(slice: &'a [Arc<dyn Interceptor>]) -> Self {
        Self { slice }
    }

    /// Asks the interceptors further in.
    ///
    /// # Errors
    /// One of them cannot read what it knows.
    pub async fn run(self, point: DecisionPoint<'a>) -> Result<Option<Decision>, StepError> {
        match self.slice.split_first() {
            Some((first, rest)) => first.recall(point, Self { slice: rest }).await,
            None => Ok(None),
        }
    }
}
