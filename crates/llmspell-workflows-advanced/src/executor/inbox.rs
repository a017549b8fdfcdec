//! Messages to the runs of this process.

use std::sync::Arc;

use llmspell_workflows_basic::engine::{Asker, Signal, Who};
use llmspell_workflows_state::store::Message;
use uuid::Uuid;

use super::{DurableRun, Executor, Inner, Live, Seen, lock};
use crate::ExecutorError;

impl Executor {
    /// Gives a run that goes on the messages that came before.
    ///
    /// Whoever resumes it, `anew`, has decided that it goes on: an older request to pause has been obeyed.
    pub(super) async fn read_inbox(&self, run: &DurableRun, anew: bool) -> Result<(), ExecutorError> {
        let (inner, live) = (self.inner.clone(), run.live.clone());
        {
            let mut seen = lock(&live.seen);
            seen.last = 0;
            seen.overruled = if anew { u64::MAX } else { seen.overruled };
        }
        let read = tokio::task::spawn_blocking(move || inner.read(&live)).await;
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let mut seen = lock(&run.live.seen);
        seen.overruled = seen.overruled.min(seen.last);
        Ok(())
    }
}

impl Inner {
    /// `run` has a message.
    pub(super) fn rung(self: &Arc<Self>, run: Uuid) {
        let Some(live) = lock(&self.live).get(&run).cloned() else { return };
        if let Err(error) = self.read(&live) {
            tracing::warn!(target: "spellflow", %run, %error, "its messages cannot be read");
        }
    }

    pub(super) fn read(&self, live: &Arc<Live>) -> Result<(), ExecutorError> {
        let Some(stores) = self.home.known_stores()? else { return Ok(()) };
        // One at a time, so that none is looked at twice.
        let mut seen = lock(&live.seen);
        loop {
            let messages = stores.inbox.next(live.id, seen.last)?;
            if messages.is_empty() {
                return Ok(());
            }
            for (number, message) in messages {
                seen.last = number;
                self.obey(live, number, message, &mut seen);
            }
        }
    }
}

impl Inner {
    fn obey(&self, live: &Arc<Live>, number: u64, message: Message, seen: &mut Seen) {
        let run = lock(&live.run).clone();
        match message {
            Message::Pause if number > seen.overruled => self.asked_to_pause(live, number),
            // Whoever resumes a run that a process has finds it at work.
            Message::Pause | Message::Resume => {}
            Message::Cancel => run.iter().for_each(|run| run.cancel_by(&Asker::new(Who::User))),
            Message::CancelAndCompensate => {
                run.iter().for_each(|run| run.cancel_and_compensate_by(&Asker::new(Who::User)));
            }
            Message::Signal { name, payload } => {
                seen.last_signal = number;
                run.iter().for_each(|run| run.deliver(Signal { number, name: name.clone(), data: payload.clone() }));
            }
        }
        if run.is_none() {
            // It is parked, is opened again, and reads the message then.
            live.arrival.notify_one();
        }
    }
}
