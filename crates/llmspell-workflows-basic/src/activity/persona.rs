use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Activity, ActivityContext, ActivityOutput, ParamProblem, Shape};
use crate::StepError;

/// Wraps a persona's activity, and stores its output in the state.
///
/// If the step has the id `X`, the key `X_result` is set to the output. The key `X_status` is set
/// to the output's `status` if this is `pass` or `fail`, and to `unknown` otherwise.
pub struct Persona<A>(pub A);

#[async_trait]
impl<A: Activity> Activity for Persona<A> {
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
        let id = context.path().id().clone();
        let answer = self.0.perform(context).await?;
        let status = answer.output.get("status").and_then(Value::as_str);
        let status = json!(status.filter(|status| ["pass", "fail"].contains(status)).unwrap_or("unknown"));
        let result = answer.output.clone();
        Ok(answer.with_state(format!("{id}_result"), result).with_state(format!("{id}_status"), status))
    }

    fn check(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        self.0.check(params, dynamic)
    }

    fn output(&self) -> Shape {
        self.0.output()
    }

    fn may_leave_leftovers(&self) -> bool {
        self.0.may_leave_leftovers()
    }
}
