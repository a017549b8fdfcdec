//! Delivers messages to the runs that this process owns.

use std::{collections::HashSet, sync::Arc};

use llmspell_workflows_basic::{
    Run,
    engine::{Asker, Signal, Who},
    targets,
};
use llmspell_workflows_state::{RunJournal, store::Message};
use uuid::Uuid;

use super::{DurableRun, Executor, Inner, lock, owned::LiveRun};
use crate::ExecutorError;

/// How far the messages of a run have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InboxProgress {
    /// The number of the last message that was read.
    last: u64,
    /// The number of the last signal that was read.
    pub(super) last_signal: u64,
    /// Pause requests up to this number are ignored: the run was resumed after them, or a hook forbade the pause.
    ignored_pauses: u64,
}

impl InboxProgress {
    /// Ignores pause requests up to `number`.
    pub(super) fn ignore_pauses(&mut self, number: u64) {
        self.ignored_pauses = self.ignored_pauses.max(number);
    }
}

impl Executor {
    /// Delivers the messages that arrived before the run was opened.
    ///
    /// An explicit resume (`is_resumed`) overrides earlier pause requests.
    pub(super) async fn read_inbox(&self, run: &DurableRun, is_resumed: bool) -> Result<(), ExecutorError> {
        let live = &run.owned.live;
        live.inbox.lock().await.last = 0;
        self.inner.read_all(live, is_resumed).await
    }
}

impl Inner {
    /// Handles new messages for `run`: delivers them if the run is in memory, or wakes the run if it is parked.
    pub(super) async fn message_arrived(self: Arc<Self>, run: Uuid) {
        let mut run = run;
        // Imported runs can claim to be each other's parents.
        let mut visited = HashSet::new();
        while visited.insert(run) {
            let live = self.registry.find(run);
            if let Some(live) = &live
                && let Err(error) = self.read(live).await
            {
                tracing::warn!(target: targets::RUN, %run, %error, "cannot read the messages of the run");
            }
            // The run may be parked, or may have been dropped from memory while its messages were read.
            self.wake(run);
            // A run that was in memory may have ended because of a message, and the process with it.
            if live.is_some() || self.registry.is_owned_or_parked(run) {
                return;
            }
            // A sub-workflow is brought back into memory together with its parked parent.
            match self.home.get(run).await {
                Ok(Some(known)) if !known.status().has_ended() => match known.summary.parent {
                    Some(parent) => run = parent,
                    None => return,
                },
                _ => return,
            }
        }
    }

    pub(super) async fn read(self: &Arc<Self>, live: &Arc<LiveRun>) -> Result<(), ExecutorError> {
        self.read_all(live, false).await
    }

    /// Handles unread messages; if `ignores_pauses` is set, unread pause requests are skipped.
    async fn read_all(self: &Arc<Self>, live: &Arc<LiveRun>, ignores_pauses: bool) -> Result<(), ExecutorError> {
        let Some(stores) = self.home.existing_stores().await? else { return Ok(()) };
        // Allow only one reader at a time so that no message is handled twice.
        let mut inbox = live.inbox.lock().await;
        loop {
            let messages = stores.inbox.next(live.id, inbox.last).await?;
            if messages.is_empty() {
                return Ok(());
            }
            for (number, message) in messages {
                inbox.last = number;
                if ignores_pauses {
                    inbox.ignore_pauses(number);
                }
                match message {
                    Message::Pause if number <= inbox.ignored_pauses => {}
                    Message::Signal { .. } => {
                        inbox.last_signal = number;
                        self.handle(live, number, message);
                    }
                    message => self.handle(live, number, message),
                }
            }
        }
    }

    fn handle(self: &Arc<Self>, live: &Arc<LiveRun>, number: u64, message: Message) {
        let run = lock(&live.run).clone();
        let asker = Asker::new(Who::User).with_message(number);
        // A retry revokes the cancellation of the run that it retries.
        let is_settled =
            |run: &Arc<Run>| run.extension::<RunJournal>().is_some_and(|journal| number <= journal.settled_messages());
        match message {
            Message::Cancel | Message::CancelAndCompensate if run.as_ref().is_some_and(is_settled) => {}
            Message::Pause => self.request_pause(live, number),
            // The run is already being driven.
            Message::Resume => {}
            Message::Cancel => run.iter().for_each(|run| run.cancel_by(&asker)),
            Message::CancelAndCompensate => {
                run.iter().for_each(|run| run.cancel_and_compensate_by(&asker));
            }
            Message::Signal { name, payload } => {
                run.iter().for_each(|run| run.deliver(Signal { number, name: name.clone(), data: payload.clone() }));
            }
        }
    }
}
