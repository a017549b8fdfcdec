//! Messages to the runs of this process.

use std::sync::Arc;

use llmspell_workflows_basic::engine::{Asker, Signal, Who};
use llmspell_workflows_state::store::Message;
use uuid::Uuid;

use super::{DurableRun, Executor, Inner, lock, owned::Live};
use crate::ExecutorError;

/// Which messages of a run were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The number of the last one.
    last: u64,
    /// The number of the last signal.
    pub(super) last_signal: u64,
    /// Requests to pause up to this number no longer count: whoever resumed the run knew of them, or a hook forbade it.
    overruled: u64,
}

impl Seen {
    /// Requests to pause up to `number` no longer count.
    pub(super) fn overrule(&mut self, number: u64) {
        self.overruled = self.overruled.max(number);
    }
}

impl Executor {
    /// Gives a run that is opened the messages that came before.
    ///
    /// Whoever resumes it, `anew`, has decided that it continues: an older request to pause has been obeyed.
    pub(super) async fn read_inbox(&self, run: &DurableRun, anew: bool) -> Result<(), ExecutorError> {
        let live = &run.owned.live;
        live.seen.lock().await.last = 0;
        self.inner.read_all(live, anew).await
    }
}

impl Inner {
    /// `run` has a message: it is obeyed if the run is in memory, and wakes the run if it is parked.
    pub(super) async fn rung(self: Arc<Self>, run: Uuid) {
        let mut run = run;
        loop {
            if let Some(live) = self.registry.find(run)
                && let Err(error) = self.read(&live).await
            {
                tracing::warn!(target: "spellflow", %run, %error, "its messages cannot be read");
            }
            // It was parked before, or left memory while its messages were read.
            self.wake(run);
            if self.registry.is_taken(run) {
                return;
            }
            // A sub-workflow whose parent is parked is brought back with it.
            match self.home.get(run).await {
                Ok(Some(known)) if !known.status().has_ended() => match known.summary.parent {
                    Some(parent) => run = parent,
                    None => return,
                },
                _ => return,
            }
        }
    }

    pub(super) async fn read(self: &Arc<Self>, live: &Arc<Live>) -> Result<(), ExecutorError> {
        self.read_all(live, false).await
    }

    /// Obeys the messages that were not read yet, except for requests to pause if these are `overruled`.
    async fn read_all(self: &Arc<Self>, live: &Arc<Live>, overruled: bool) -> Result<(), ExecutorError> {
        let Some(stores) = self.home.existing_stores().await? else { return Ok(()) };
        // One reader at a time, so that no message is obeyed twice.
        let mut seen = live.seen.lock().await;
        loop {
            let messages = stores.inbox.next(live.id, seen.last).await?;
            if messages.is_empty() {
                return Ok(());
            }
            for (number, message) in messages {
                seen.last = number;
                if overruled {
                    seen.overrule(number);
                }
                match message {
                    Message::Pause if number <= seen.overruled => {}
                    Message::Signal { .. } => {
                        seen.last_signal = number;
                        self.obey(live, number, message);
                    }
                    message => self.obey(live, number, message),
                }
            }
        }
    }

    fn obey(self: &Arc<Self>, live: &Arc<Live>, number: u64, message: Message) {
        let run = lock(&live.run).clone();
        match message {
            Message::Pause => self.asked_to_pause(live, number),
            // A run that is resumed while a process has it is at work already.
            Message::Resume => {}
            Message::Cancel => run.iter().for_each(|run| run.cancel_by(&Asker::new(Who::User))),
            Message::CancelAndCompensate => {
                run.iter().for_each(|run| run.cancel_and_compensate_by(&Asker::new(Who::User)));
            }
            Message::Signal { name, payload } => {
                run.iter().for_each(|run| run.deliver(Signal { number, name: name.clone(), data: payload.clone() }));
            }
        }
    }
}
