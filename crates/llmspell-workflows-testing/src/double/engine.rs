use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use llmspell_workflows_basic::{
    Run, StepError,
    activity::ActivityOutput,
    engine::{Call, Child, ChildEnd, ChildUndo, Children, Dispatch, LeafCall},
};
use serde_json::json;
use uuid::Uuid;

use super::{Double, Service};

impl Service for dyn Dispatch + '_ {
    type Error = StepError;
    const CALLS: &'static [&'static str] = &["perform"];
}

impl Double<dyn Dispatch> {
    /// Creates a double of a leaf dispatcher; the subject of `perform` is the activity, the path and the attempt.
    ///
    /// ```
    /// use llmspell_workflows_basic::{StepError, engine::InProcess};
    /// use llmspell_workflows_testing::{double::Double, harness::{Script, WorkflowTest, prelude::*}};
    ///
    /// // The machine that performs leaves is unreachable for the first call.
    /// let machine = Double::dispatch(InProcess);
    /// machine.fails_at("perform", 1, || StepError::transient("unreachable", "the machine does not respond"));
    /// let dispatch = machine.clone();
    /// let result = WorkflowTest::new(Definition::sequence("order", [
    ///     Step::tool("charge", "payments", json!({})).with_retry(Retry::attempts(2)),
    /// ]))
    /// .tool("payments", Script::returns(json!("r-7")))
    /// .engine(move |engine| engine.dispatch(dispatch.clone()))
    /// .run();
    ///
    /// result.completed_with(&json!("r-7"));
    /// machine.story().is(&[
    ///     "perform tool:payments /main/charge#1: failed, the machine does not respond [unreachable]",
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
        let subject = format!("{} {}#{}", call.name, call.context.path(), call.context.attempt());
        let recorded = self.record("perform", subject, call.context.input().clone());
        let inner = self.inner.clone();
        Box::pin(async move { recorded.wait(async { inner.perform(call).await }).await })
    }
}

impl Service for dyn Children + '_ {
    type Error = StepError;
    const CALLS: &'static [&'static str] = &["run", "end", "undo"];
}

impl Double<dyn Children> {
    /// Creates a double of a sub-workflow runner; the subject of `run` is the path of the step.
    #[must_use]
    pub fn children(inner: impl Children + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl Children for Double<dyn Children> {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        let recorded = self.record("run", call.path().to_string(), child.input.clone());
        recorded.wait(self.inner.run(call, child)).await
    }

    async fn end(&self, run: &Arc<Run>, compensates: bool) -> Result<Option<ChildEnd>, StepError> {
        self.record("end", "", json!(compensates)).wait(self.inner.end(run, compensates)).await
    }

    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError> {
        self.record("undo", "", json!(child)).wait(self.inner.undo(run, child)).await
    }
}
