//! Delivers messages to the runs that this process owns.

use std::{collections::HashSet, sync::Arc};

use llmspell_workflows_basic::{
    Plan,
    engine::{Asker, Resume, Signal, Who},
    targets,
};
use llmspell_workflows_state::{RunJournal, RunState, store::Message};
use uuid::Uuid;

use super::{DurableRun, Executor, Inner, lock, owned::LiveRun};
use crate::{ExecutorError, KnownRun, home::ReceivedByChildren};

/// The progress in reading the messages of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InboxProgress {
    /// The number of the last message read.
    last: u64,
    /// The number of the last signal read.
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
        let (mut run, mut is_inner) = (run, false);
        // Imported runs can claim to be each other's parents.
        let mut visited = HashSet::new();
        while visited.insert(run) {
            let live = self.registry.find(run);
            match &live {
                Some(live) if is_inner => live.note_news(),
                Some(live) => live.note_news_around(),
                None => {}
            }
            if let Some(live) = &live
                && let Err(error) = self.read(live).await
            {
                tracing::warn!(target: targets::RUN, %run, %error, "cannot read the messages of the run");
            }
            // The run may be parked, or may have been dropped from memory while its messages were read.
            self.wake(run);
            if self.registry.is_owned_or_parked(run) {
                return;
            }
            // A run in memory may have ended because of a message, and the process may be exiting.
            match self.home.get(run).await {
                Ok(Some(known)) if !known.status().has_ended() => match known.summary.parent {
                    // A sub-workflow is brought back into memory together with its parked parent.
                    Some(parent) if live.is_none() => (run, is_inner) = (parent, true),
                    Some(_) => return,
                    None => return self.cancel_at_rest(&known).await,
                },
                _ => return,
            }
        }
    }

    /// Adds to a run the signals that its sub-workflows received, so that it does not receive them
    /// again.
    pub(super) async fn with_signals_of_children(
        self: &Arc<Self>,
        resume: Resume,
        plan: &Plan,
        journal: &RunJournal,
    ) -> Result<Resume, ExecutorError> {
        let run = journal.run();
        if !plan.has_sub_workflows() || self.home.signals(run).await?.is_empty() {
            return Ok(resume);
        }
        let state = RunState::read_outline(&journal.shared().records(run).await?);
        let mut children = ReceivedByChildren::new(run, &state);
        while let Some(child) = children.next() {
            // Read through the journal, since records of this process may not be in the file yet.
            children.add(&journal.shared().records(child).await?);
        }
        Ok(resume.with_received(children.received))
    }

    /// Continues a run that this process has leased but does not drive, for example a paused run,
    /// if there is an unread request to cancel it. No other process can do so.
    async fn cancel_at_rest(self: &Arc<Self>, known: &KnownRun) {
        let cancelled = async {
            let Some(journal) = known.journal() else { return Ok(()) };
            if self.leased_journal(journal).await.is_none() || !self.is_to_be_cancelled(known).await? {
                return Ok(());
            }
            let executor = Executor { inner: self.clone() };
            let run = executor.resume(known).await?;
            drop(executor.spawn(run));
            Ok(())
        };
        match cancelled.await {
            // Another task or process continues the run and reads its messages.
            Ok(()) | Err(ExecutorError::Driven { .. } | ExecutorError::Ended { .. } | ExecutorError::ShutDown) => {}
            Err(error) => {
                tracing::warn!(target: targets::RUN, run = %known.id(), %error, "cannot cancel the run");
            }
        }
    }

    /// Returns whether a request to cancel the run has been stored since the run was last retried.
    async fn is_to_be_cancelled(&self, known: &KnownRun) -> Result<bool, ExecutorError> {
        let Some(stores) = self.home.existing_stores().await? else { return Ok(false) };
        let mut last = RunState::read_outline(&self.home.records(known).await?).settled_messages();
        loop {
            let messages = stores.inbox.next(known.id(), last).await?;
            let Some((number, _)) = messages.last() else { return Ok(false) };
            last = *number;
            let cancels =
                |(_, message): &(u64, Message)| matches!(message, Message::Cancel | Message::CancelAndCompensate);
            if messages.iter().any(cancels) {
                return Ok(true);
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
                    Message::Pause => self.request_pause(live, number),
                    // The run is already being driven.
                    Message::Resume => {}
                    Message::Signal { name, payload } => {
                        inbox.last_signal = number;
                        let run = lock(&live.run).clone();
                        run.iter().for_each(|run| {
                            run.deliver(Signal::new(number, name.clone(), payload.clone()));
                        });
                    }
                    Message::Cancel | Message::CancelAndCompensate => {
                        if cancel(live, number, message == Message::CancelAndCompensate) {
                            inbox.ignore_pauses(number);
                        }
                    }
                }
            }
        }
    }
}

/// Cancels the run as requested by message `number`, even if the run is paused. Returns whether
/// the request is still valid.
fn cancel(live: &Arc<LiveRun>, number: u64, compensates: bool) -> bool {
    let Some(run) = lock(&live.run).clone() else {
        live.revoke_pause();
        return true;
    };
    // A retry revokes an earlier cancellation of the run.
    if run.extension::<RunJournal>().is_some_and(|journal| number <= journal.settled_messages()) {
        return false;
    }
    live.revoke_pause();
    let asker = Asker::new(Who::User).with_message(number);
    if compensates {
        run.cancel_and_compensate_by(&asker)
    } else {
        run.cancel_by(&asker)
    }
    true
}
