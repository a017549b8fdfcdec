//! The services that another machine can take over: carrying leaves, and waiting.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::Call;
use crate::{
    StepError,
    activity::{Activity, ActivityContext, ActivityOutput},
    model::ActivityName,
};

/// Carries leaves: in this process, or elsewhere.
pub trait Dispatch: Send + Sync {
    /// Performs one attempt of a leaf. A failed leaf is an outcome; there is no other kind of error.
    ///
    /// The call is told to stop through [`ActivityContext::cancelled`].
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>>;
}

/// One attempt of a leaf.
pub struct LeafCall {
    /// Which activity.
    pub name: ActivityName,
    /// The activity itself, where this process has it.
    pub activity: Option<Arc<dyn Activity>>,
    /// Run, path, generation, attempt, idempotency key, input and deadline.
    pub context: ActivityContext,
}

impl fmt::Debug for LeafCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.context.path())
    }
}

/// Performs leaves in this process, in the task of their branch.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Dispatch for InProcess {
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let LeafCall { name, activity, context } = call;
        Box::pin(async move {
            match activity {
                Some(activity) => activity.perform(context).await,
                None => Err(missing(&name)),
            }
        })
    }
}

/// That nothing answers for `name`.
pub(super) fn missing(name: &ActivityName) -> StepError {
    StepError::configuration("unknown_activity", format!("nothing is registered that answers for `{name}`"))
}

/// Waits for points in time: in this process, or by parking the run.
#[async_trait]
pub trait Timers: Send + Sync {
    /// Waits until `wake_at`, which has been recorded, or says that the run should be parked.
    async fn until(&self, call: &Call, wake_at: Timestamp) -> Wake;
}

/// How a wait went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The time has come.
    Due,
    /// The step parks; the run is driven again when the time has come.
    Park,
}

#[async_trait]
impl Timers for InProcess {
    async fn until(&self, call: &Call, wake_at: Timestamp) -> Wake {
        call.run().clock().sleep_until(wake_at).await;
        Wake::Due
    }
}

/// Checks data against a JSON Schema, for `validate` steps; the tools crate has one.
pub trait SchemaCheck: Send + Sync {
    /// All violations of `schema` in `data`.
    ///
    /// # Errors
    /// The schema itself is none; the text says why.
    fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String>;
}

/// A part of some data that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which part, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}
