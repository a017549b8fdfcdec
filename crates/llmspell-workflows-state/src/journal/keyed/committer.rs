//! The one thread that syncs.

use std::{
    io,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
};

use llmspell_workflows_basic::targets;
use tracing::field;

use super::{JournalError, Shared};

/// Starts the thread; it ends when the journal is closing and all that was appended is written.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("spellflow-sync".to_owned()).spawn(move || {
        while shared.wait_for_work() {
            shared.commit();
        }
        // A fault has been told to everyone who waited.
        drop(shared.write());
    })
}

impl Shared {
    /// Waits until someone waits for a sync; `false`: the journal is closing.
    fn wait_for_work(&self) -> bool {
        let is_idle = |state: &mut super::State| state.waiting.is_empty() && !state.is_closing;
        let state = self.bell.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner);
        !state.waiting.is_empty()
    }

    /// One sync for all who wait now.
    fn commit(&self) {
        let span = tracing::trace_span!(target: targets::JOURNAL, "commit", waiting = field::Empty).entered();
        let result = self.sync();
        let mut state = self.state();
        let done: Vec<_> = match &result {
            Ok(synced) => {
                state.synced = *synced;
                state.waiting.extract_if(.., |(record, _)| *record <= *synced).collect()
            }
            Err(_) => state.waiting.drain(..).collect(),
        };
        drop(state);
        span.record("waiting", done.len());
        tracing::trace!(target: targets::JOURNAL, error = result.as_ref().err().map(field::display), "synced");
        for (_, says) in done {
            // Whoever does not wait any more does not need to know.
            drop(says.send(result.clone().map(drop)));
        }
    }

    /// Syncs all that has been appended; returns how many records that is.
    fn sync(&self) -> Result<u64, JournalError> {
        let (appended, given) = {
            let mut handed = self.handing.lock().unwrap_or_else(PoisonError::into_inner);
            (self.give(&mut handed)?, handed.given)
        };
        // Outside of the lock: others go on writing meanwhile.
        self.below.sync(given).map_err(|error| self.fail(error))?;
        // A write that failed for someone else meanwhile is not made good by a sync that succeeds.
        self.state().fault.clone().map_or(Ok(appended), Err)
    }
}
