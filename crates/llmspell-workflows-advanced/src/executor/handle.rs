use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::Message;
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{DurableEnd, DurableRun, Executor, parked::DriveResult};
use crate::{Delivery, ExecutorError, Home};

/// A handle to a run that is driven in the background until it ends. While the run waits, it is parked.
///
/// Dropping the handle does not affect the run. Awaiting it returns how the run ended.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use llmspell_workflows_advanced::{DurableEnd, Executor, MemoryHome, StartOptions};
/// use llmspell_workflows_basic::{Engine, WorkflowInput, model::{Definition, Step, StepKind, WaitForEvent}};
/// use serde_json::json;
///
/// let executor = Executor::new(MemoryHome::new(), Engine::builder());
/// let wait = StepKind::WaitForEvent(WaitForEvent { event: "approved".into(), ..WaitForEvent::default() });
/// let review = Definition::sequence("review", [Step::new("approval", wait)]);
///
/// let run = executor.start(review, WorkflowInput::default(), StartOptions::default()).await?;
/// let handle = executor.spawn(run);
/// handle.signal("approved", json!({"by": "Ada"})).await?;
/// let DurableEnd::Finished(finished) = handle.await? else { panic!("the run ends") };
/// assert_eq!(finished.output["data"]["by"], "Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct RunHandle {
    id: Uuid,
    home: Arc<dyn Home>,
    end: oneshot::Receiver<DriveResult>,
}

impl Executor {
    /// Drives `run` in a background task until it ends, is paused or is shut down. While the run waits, it is parked.
    #[must_use = "the run continues without its handle, but its result is lost"]
    pub fn spawn(&self, run: DurableRun) -> RunHandle {
        let (reply, end) = oneshot::channel();
        let handle = RunHandle { id: run.id(), home: self.inner.home.clone(), end };
        tokio::spawn(self.inner.clone().drive_in_background(run, reply));
        handle
    }

    /// Drives `run` until it ends, is paused or is shut down. While the run waits, it is parked.
    ///
    /// As with [`Self::spawn`], dropping the future does not stop the run.
    ///
    /// # Errors
    /// Returns an error if the journal could not be read or written; the run can then be resumed.
    pub async fn finish(&self, run: DurableRun) -> Result<DurableEnd, ExecutorError> {
        self.spawn(run).wait().await
    }
}

impl RunHandle {
    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the status of the run.
    ///
    /// # Errors
    /// Returns an error if the journal of the run cannot be read.
    pub async fn status(&self) -> Result<RunStatus, ExecutorError> {
        let known = self.home.get(self.id).await?;
        known.map(|known| known.status()).ok_or_else(|| ExecutorError::UnknownRun(self.id.to_string()))
    }

    /// Pauses the run: no further steps start, and the run ends as [`DurableEnd::Paused`] once running steps finish.
    ///
    /// # Errors
    /// Returns an error if the run has ended or the message cannot be stored.
    pub async fn pause(&self) -> Result<Delivery, ExecutorError> {
        self.post(Message::Pause).await
    }

    /// Cancels the run permanently; its `finally` steps still run.
    ///
    /// # Errors
    /// Returns an error if the run has ended or the message cannot be stored.
    pub async fn cancel(&self) -> Result<Delivery, ExecutorError> {
        self.post(Message::Cancel).await
    }

    /// Sends the signal `name` to the run; the first step that waits for it consumes it.
    ///
    /// # Errors
    /// Returns an error if the run has ended or the message cannot be stored.
    pub async fn signal(&self, name: impl Into<String>, data: Value) -> Result<Delivery, ExecutorError> {
        self.post(Message::Signal { name: name.into(), payload: data }).await
    }

    /// Waits until the run ends; returns [`DurableEnd::Released`] if this executor no longer drives the run.
    ///
    /// # Errors
    /// Returns an error if the journal could not be read or written; the run can then be resumed.
    pub async fn wait(self) -> Result<DurableEnd, ExecutorError> {
        self.end.await.map_or(Ok(DurableEnd::Released), |end| *end)
    }

    async fn post(&self, message: Message) -> Result<Delivery, ExecutorError> {
        let known = self.home.get(self.id).await?;
        let known = known.ok_or_else(|| ExecutorError::UnknownRun(self.id.to_string()))?;
        self.home.post(&known, &message).await
    }
}

impl IntoFuture for RunHandle {
    type Output = Result<DurableEnd, ExecutorError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handle of run {}", self.id)
    }
}
