//! Messages to runs, from any process.

use llmspell_workflows_state::store::Message;
use uuid::Uuid;

use super::{Holder, Home, KnownRun, RunPlace};
use crate::ExecutorError;

/// How a message to a run was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The process that has the run received it.
    Told,
    /// No process has the run; it receives the message when it is resumed.
    Kept,
    /// This process has the run and does not answer; it receives the message when it does.
    Unanswered(Holder),
}

impl dyn Home {
    /// Sends a run a message, which is stored first, and tells the process that has the run.
    ///
    /// # Errors
    /// The run has ended, or the store cannot be written.
    pub async fn post(&self, run: &KnownRun, message: &Message) -> Result<Delivery, ExecutorError> {
        if run.status().has_ended() {
            return Err(ExecutorError::Ended { run: run.id() });
        }
        self.stores().await?.inbox.post(run.id(), &Uuid::now_v7().to_string(), message).await?;
        // Looked at only now: a process that has taken the run over meanwhile reads the message by itself.
        let RunPlace::Journal(journal) = &run.place else { return Ok(Delivery::Kept) };
        let Some(holder) = self.holder(journal).await? else { return Ok(Delivery::Kept) };
        let is_told = self.ring(journal, run.id()).await;
        Ok(if is_told { Delivery::Told } else { Delivery::Unanswered(holder) })
    }
}
