use std::future::Future;

use async_trait::async_trait;

use super::{Activity, ActivityContext, ActivityOutput};
use crate::StepError;

/// Creates an activity from an async closure.
///
/// ```
/// use llmspell_workflows_basic::activity::{Activities, function};
/// use serde_json::json;
///
/// let mut activities = Activities::new();
/// activities.register("function", "double", function(|context| async move {
///     Ok(json!(context.input()["n"].as_i64().unwrap_or(0) * 2))
/// }));
/// ```
pub fn function<F, Fut, Out>(perform: F) -> impl Activity
where
    F: Fn(ActivityContext) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Out, StepError>> + Send,
    Out: Into<ActivityOutput>,
{
    Function(perform)
}

struct Function<F>(F);

#[async_trait]
impl<F, Fut, Out> Activity for Function<F>
where
    F: Fn(ActivityContext) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Out, StepError>> + Send,
    Out: Into<ActivityOutput>,
{
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
        (self.0)(context).await.map(Into::into)
    }
}
