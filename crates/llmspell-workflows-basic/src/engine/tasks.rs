use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    task::{AbortHandle, JoinError, JoinSet},
    time::Instant,
};

use super::{Call, Cancel, CancelReason, Cancelled, Outcome};
use crate::{PathLink, StepError};

/// How long after the grace a task may take to end before it is taken to block its thread.
const JOIN_MARGIN: Duration = Duration::from_secs(1);

/// Steps that run in tasks of their own under one request to stop.
///
/// A task is never dropped while it runs: it is asked to stop, and its leaves end within the grace. One that does not
/// end even then blocks its thread; it is named, and left to itself.
pub(crate) struct Tasks {
    set: JoinSet<(usize, Outcome)>,
    /// Each that has not ended, by number.
    running: Vec<Option<Running>>,
    left: usize,
    parent: Call,
    cancel: Cancel,
    give_up_at: Option<Instant>,
}

/// A task that has not ended.
struct Running {
    path: PathLink,
    task: AbortHandle,
}

impl Tasks {
    /// Tasks below `parent`, which can be asked to stop together.
    pub(crate) fn new(parent: &Call) -> Self {
        let cancel = parent.cancel.child();
        Self { set: JoinSet::new(), running: Vec::new(), left: 0, parent: parent.clone(), cancel, give_up_at: None }
    }

    /// Runs `call` through `run` in a task of its own.
    pub(crate) async fn run(call: Call, run: impl FnOnce(Call) -> BoxFuture<'static, Outcome>) -> Outcome {
        let mut tasks = Self::new(&call);
        let path = call.path.clone();
        tasks.spawn(0, call, run);
        let lost = || Outcome::failed(StepError::configuration("panic", "the step was lost").at(&path));
        tasks.next().await.map_or_else(lost, |(_, outcome)| outcome)
    }

    /// How many have not ended.
    pub(crate) fn len(&self) -> usize {
        self.left
    }

    /// Starts number `index`: `call` through `run`.
    pub(crate) fn spawn<F>(&mut self, index: usize, mut call: Call, run: F)
    where
        F: FnOnce(Call) -> BoxFuture<'static, Outcome>,
    {
        call.cancel = self.cancel.clone();
        if self.running.len() <= index {
            self.running.resize_with(index + 1, || None);
        }
        let path = call.path.clone();
        self.left += 1;
        let future = AssertUnwindSafe(run(call)).catch_unwind();
        // Leaves catch the panics of user code, so this would be one of an interceptor or of the engine.
        let named = path.clone();
        let task =
            self.set.spawn(async move { (index, future.await.unwrap_or_else(|panic| panicked(&*panic, &named))) });
        self.running[index] = Some(Running { path, task });
    }

    /// Asks all that run to stop.
    pub(crate) fn stop(&self, reason: CancelReason) {
        self.cancel.cancel(reason);
    }

    /// The next that ended, with its number; `None` when all have.
    pub(crate) async fn next(&mut self) -> Option<(usize, Outcome)> {
        while self.left > 0 {
            let Some(joined) = self.join().await else { return Some(self.give_up()) };
            // One that was given up on may still end; that changes nothing any more.
            let Ok((index, outcome)) = joined else { continue };
            if self.running[index].take().is_some() {
                self.left -= 1;
                return Some((index, outcome));
            }
        }
        None
    }

    /// The next task to end; `None` when it is time to give up on those that were asked to.
    async fn join(&mut self) -> Option<Result<(usize, Outcome), JoinError>> {
        loop {
            if let Some(at) = self.give_up_at {
                return tokio::time::timeout_at(at, self.set.join_next()).await.ok().flatten();
            }
            tokio::select! {
                biased;
                joined = self.set.join_next() => return joined,
                () = self.cancel.cancelled() => {
                    let grace = self.parent.run.limits().cancel_grace;
                    self.give_up_at = Some(Instant::now() + grace + JOIN_MARGIN);
                }
            }
        }
    }

    /// Names one that does not end, and leaves it to itself.
    fn give_up(&mut self) -> (usize, Outcome) {
        let index = self.running.iter().position(Option::is_some).expect("`next` asks only while some run");
        let Running { path, task } = self.running[index].take().expect("this one runs");
        let path = path.to_path();
        self.left -= 1;
        task.abort();
        let run = &self.parent.run;
        let mut cancelled = Cancelled::new(self.cancel.reason().unwrap_or(CancelReason::Requested));
        cancelled.still_running = run.records().running_leaves(&path);
        run.records().abandon(&path, run.clock().now());
        (index, Outcome::Cancelled(cancelled))
    }

    /// Waits for all that run; what they left behind is gathered in one.
    pub(crate) async fn drain(&mut self) -> Cancelled {
        let mut left = Cancelled::new(self.cancel.reason().unwrap_or(CancelReason::Requested));
        while let Some((_, outcome)) = self.next().await {
            if let Outcome::Cancelled(cancelled) = outcome {
                left.absorb(cancelled);
            }
        }
        left
    }
}

fn panicked(panic: &(dyn std::any::Any + Send), path: &PathLink) -> Outcome {
    Outcome::failed(StepError::panicked(panic).at(path))
}
