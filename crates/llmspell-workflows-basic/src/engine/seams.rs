//! Services that a host can replace: leaf execution (for example, on another machine), waiting, and
//! schema checks.

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

/// Executes leaves, in this process or elsewhere.
pub trait Dispatch: Send + Sync {
    /// Performs one attempt of a leaf; returns an error only if the leaf failed.
    ///
    /// A request to stop arrives through [`ActivityContext::cancelled`].
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>>;
}

/// One attempt of a leaf.
pub struct LeafCall {
    /// The name of the activity.
    pub name: ActivityName,
    /// The activity itself, if it is registered in this process.
    pub activity: Option<Arc<dyn Activity>>,
    /// The run, path, generation, attempt, idempotency key, input and deadline.
    pub context: ActivityContext,
}

impl fmt::Debug for LeafCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.context.path())
    }
}

/// Executes leaves in this process, in the task of their branch.
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

/// Returns the error for the unregistered activity `name`.
pub(super) fn missing(name: &ActivityName) -> StepError {
    StepError::configuration("unknown_activity", format!("unknown activity `{name}`"))
}

/// Waits until a given time, in this process or by parking the run.
#[async_trait]
pub trait Timers: Send + Sync {
    /// Waits until `wake_at`, a time on the engine's clock that is already recorded, or returns
    /// [`Wake::Park`] to park the step.
    async fn until(&self, call: &Call, wake_at: Timestamp) -> Wake;
}

/// The result of waiting for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The time has come.
    Due,
    /// The step parks; the run is driven again when the time comes.
    Park,
}

#[async_trait]
impl Timers for InProcess {
    async fn until(&self, call: &Call, wake_at: Timestamp) -> Wake {
        call.run().engine().clock().sleep_until(wake_at).await;
        Wake::Due
    }
}

/// Counts the steps that hold a named limit in all processes sharing it.
#[async_trait]
pub trait SharedLimits: Send + Sync {
    /// Waits until fewer than `holders` steps in all processes hold the limit. The step then holds
    /// the limit until the returned permit is dropped or its process dies. Returns `None` if no
    /// other process shares the limit.
    ///
    /// # Errors
    /// Fails if the holders of the limit cannot be counted.
    async fn acquire(&self, limit: LimitName<'_>, holders: u32) -> Result<Option<SharedPermit>, StepError>;
}

/// A permit of a limit shared by several processes; released when dropped.
pub type SharedPermit = Box<dyn std::any::Any + Send + Sync>;

/// The name of a concurrency limit, and the definition that declares it, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitName<'n> {
    /// The name of the definition that declares the limit; `None` if the engine declares it.
    pub definition: Option<&'n str>,
    /// The name of the limit.
    pub name: &'n str,
}

#[async_trait]
impl SharedLimits for InProcess {
    async fn acquire(&self, _: LimitName<'_>, _: u32) -> Result<Option<SharedPermit>, StepError> {
        Ok(None)
    }
}

/// Checks data against a JSON Schema, for `validate` steps; the tools crate has an implementation.
pub trait SchemaCheck: Send + Sync {
    /// Returns all violations of `schema` in `data`.
    ///
    /// # Errors
    /// Returns the reason if the schema itself is invalid.
    fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String>;
}

/// A part of the data that violates a schema or an assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer to the part; empty for the data as a whole.
    pub path: String,
    /// Why the part is invalid.
    pub message: String,
}
