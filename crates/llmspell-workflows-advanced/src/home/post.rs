//! Sends messages to runs, from any process.

use std::collections::HashSet;

use llmspell_workflows_state::store::Message;
use serde_json::Value;
use uuid::Uuid;

use super::{Holder, Home, KnownRun, RunLocation, RunWait};
use crate::ExecutorError;

/// How a message to a run was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The process that owns the run received the message.
    Received,
    /// No process owns the run; the run receives the message when it is resumed.
    Stored,
    /// This process owns the run but does not answer; the run receives the message once the process responds again.
    Unanswered(Holder),
}

impl dyn Home {
    /// Stores a message for a run and notifies the process that owns the run.
    ///
    /// A signal is received by the first step that waits for it, now or later, in the run or in one
    /// of its sub-workflows. If no step of the addressed sub-workflow waits for the signal, it goes
    /// to another run of the family with a step that does.
    ///
    /// # Errors
    /// Returns an error if the run has ended, several sub-workflows wait for the signal, or the store cannot be written.
    pub async fn post(&self, run: &KnownRun, message: &Message) -> Result<Delivery, ExecutorError> {
        if run.status().has_ended() {
            return Err(ExecutorError::Ended { run: run.id() });
        }
        let receiver = match message {
            Message::Signal { name, payload } => self.receiver(run, name, payload).await?,
            _ => None,
        };
        let run = receiver.as_ref().unwrap_or(run);
        self.skip_known_numbers(run).await?;
        self.stores().await?.inbox.post(run.id(), &Uuid::now_v7().to_string(), message).await?;
        // The holder is checked only after storing the message, because a process that takes over
        // the run later reads the stored message itself. The run may have been moved since it was
        // looked up.
        let Some(KnownRun { location: RunLocation::Journal(journal), .. }) = self.get(run.id()).await? else {
            return Ok(Delivery::Stored);
        };
        let journal = &journal;
        let Some(holder) = self.holder(journal).await? else { return Ok(Delivery::Stored) };
        if self.notify(journal, run.id()).await {
            return Ok(Delivery::Received);
        }
        // The holder may have acted on the message and exited before it could answer.
        Ok(match self.get(run.id()).await? {
            Some(now) if now.status().has_ended() => Delivery::Received,
            Some(KnownRun { holder: None, .. }) | None => Delivery::Stored,
            Some(_) => Delivery::Unanswered(holder),
        })
    }

    /// Returns the number of the last message to `run`; 0 if there is none.
    pub(crate) async fn last_message(&self, run: Uuid) -> Result<u64, ExecutorError> {
        let Some(stores) = self.existing_stores().await? else { return Ok(0) };
        let mut last = 0;
        loop {
            match stores.inbox.next(run, last).await?.last() {
                Some((number, _)) => last = *number,
                None => return Ok(last),
            }
        }
    }

    /// Returns the run that should receive a signal instead of `run`: an enclosing run, if only a step
    /// there waits for it. The steps of sub-workflows receive the signals of `run` anyway.
    async fn receiver(&self, run: &KnownRun, name: &str, data: &Value) -> Result<Option<KnownRun>, ExecutorError> {
        let waiting = self.waiting_for(run, name, data).await?;
        if waiting.len() > 1 && !waiting.contains(&run.id()) {
            let candidates = waiting.iter().map(Uuid::to_string).collect();
            return Err(ExecutorError::AmbiguousSignal { run: run.id(), name: name.to_owned(), candidates });
        }
        if !waiting.is_empty() || run.summary.parent.is_none() {
            return Ok(None);
        }
        // The enclosing runs, innermost first; a sibling is never meant.
        let mut around = run.clone();
        let mut visited = HashSet::from([run.id()]);
        while let Some(parent) = around.summary.parent.filter(|parent| visited.insert(*parent)) {
            let Some(parent) = self.get(parent).await? else { return Ok(None) };
            if self.waiting_for(&parent, name, data).await?.contains(&parent.id()) {
                return Ok(Some(parent));
            }
            around = parent;
        }
        Ok(None)
    }

    /// Returns the runs, among `run` and its sub-workflows, with a step that may accept the signal.
    async fn waiting_for(&self, run: &KnownRun, name: &str, data: &Value) -> Result<Vec<Uuid>, ExecutorError> {
        let mut waits = self.waits(run).await?;
        let accepts = |wait: &RunWait| wait.filter.as_ref().map_or(Some(true), |filter| filter.accepts(name, data));
        waits.retain(|wait| wait.awaited.signal.as_deref() == Some(name) && accepts(wait) != Some(false));
        let mut waiting: Vec<Uuid> = waits.iter().map(|wait| wait.run).collect();
        waiting.sort_unstable();
        waiting.dedup();
        Ok(waiting)
    }
}
