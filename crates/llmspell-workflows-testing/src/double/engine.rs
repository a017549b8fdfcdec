use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use llmspell_workflows_basic::{
    StepError,
    activity::ActivityOutput,
    engine::{Call, Child, ChildEnd, Children, Dispatch, LeafCall},
};

use super::{Double, Service};

impl Service for dyn Dispatch + '_ {
    type Error = StepError;
    const CALLS: &'static [&'static str] = &["perform"];
}

impl Double<dyn Dispatch> {
    /// A double of what carries leaves: `perform` is told with the activity, the path and the attempt.
    ///
    /// ```
    /// use llmspell_workflows_basic::{StepError, engine::InProcess};
    /// use llmspell_workflows_testing::{double::Double, harness::{Script, WorkflowTest, prelude::*}};
    ///
    /// // A machine that carries leaves, and is gone for a moment.
    /// let machine = Double::dispatch(InProcess);
    /// machine.fails_at("perform", 1, || StepError::transient("unreachable", "the machine does not answer"));
    /// let carries = machine.clone();
    /// let ended = WorkflowTest::new(Definition::sequence("order", [
    ///     Step::tool("charge", "payments", json!({})).with_retry(Retry::attempts(2)),
    /// ]))
    /// .tool("payments", Script::answers(json!("r-7")))
    /// .engine(move |engine| engine.dispatch(carries.clone()))
    /// .run();
    ///
    /// ended.completed_with(&json!("r-7"));
    /// machine.story().is(&[
    ///     "perform tool:payments /main/charge#1: failed, the machine does not answer [unreachable]",
    ///     "perform tool:payments /main/charge#2",
    /// ]);
    /// ```
    #[must_use]
    pub fn dispatch(inner: impl Dispatch + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

impl Dispatch for Double<dyn Dispatch> {
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let about = format!("{} {}#{}", call.name, call.context.path(), call.context.attempt());
        let turn = self.ask("perform", about, call.context.input().clone());
        let inner = self.inner.clone();
        Box::pin(async move { turn.wait(async { inner.perform(call).await }).await })
    }
}

impl Service for dyn Children + '_ {
    type Error = StepError;
    const CALLS: &'static [&'static str] = &["run"];
}

impl Double<dyn Children> {
    /// A double of what runs sub-workflows: `run` is told with the path of the step.
    #[must_use]
    pub fn children(inner: impl Children + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl Children for Double<dyn Children> {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        let turn = self.ask("run", call.path().to_string(), child.input.clone());
        turn.wait(self.inner.run(call, child)).await
    }
}
