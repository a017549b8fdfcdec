use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use llmspell_workflows_basic::sync::lock;
use tokio::{sync::Notify, time::Instant};

use super::turns::Turns;

/// Looks after hooks at work: one timer for all of them, since a timer each costs more than most hooks do.
///
/// Its task begins with the first hook and ends when none has been at work for a while.
#[derive(Default)]
pub(crate) struct Watch {
    at_work: Mutex<AtWork>,
    /// That one may be late before its next look.
    earlier: Notify,
}

#[derive(Default)]
struct AtWork {
    turns: HashMap<u64, Arc<Turns>>,
    last: u64,
    /// When it looks next; `None`: it has no task.
    looks_at: Option<Instant>,
    /// The number of its task.
    task: u64,
}

/// Hooks that are looked after until this is dropped.
pub(super) struct Watched<'a> {
    watch: &'a Watch,
    number: u64,
}

impl Watch {
    /// Looks after `turns`, which are late at `late_at` unless they go on.
    pub(super) fn over(self: &Arc<Self>, turns: &Arc<Turns>, late_at: Instant) -> Watched<'_> {
        let mut at_work = self.lock();
        at_work.last += 1;
        let number = at_work.last;
        at_work.turns.insert(number, turns.clone());
        match at_work.looks_at {
            Some(looks_at) if looks_at <= late_at => {}
            Some(_) => self.earlier.notify_one(),
            None => {
                at_work.looks_at = Some(late_at);
                at_work.task += 1;
                drop(tokio::spawn(Task { watch: self.clone(), number: at_work.task }.run()));
            }
        }
        Watched { watch: self, number }
    }

    /// Leaves behind what is late; when to look again, if anything is at work.
    fn look(&self) -> Option<Instant> {
        let mut at_work = self.lock();
        let next = at_work.turns.values().map(|turns| turns.look()).min();
        at_work.looks_at = next;
        next
    }

    fn lock(&self) -> MutexGuard<'_, AtWork> {
        lock(&self.at_work)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let turns = self.watch.lock().turns.remove(&self.number);
        // Freed after the lock.
        drop(turns);
    }
}

/// The task of a watch; where its runtime ends before it does, the next hook begins another.
struct Task {
    watch: Arc<Watch>,
    number: u64,
}

impl Task {
    async fn run(self) {
        let mut next = self.watch.lock().looks_at;
        while let Some(looks_at) = next {
            tokio::select! {
                () = tokio::time::sleep_until(looks_at) => {}
                () = self.watch.earlier.notified() => {}
            }
            next = self.watch.look();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut at_work = self.watch.lock();
        if at_work.task == self.number {
            at_work.looks_at = None;
        }
    }
}
