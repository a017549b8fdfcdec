use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
    time::Instant,
};

use super::{
    Call, CallContext, Cancel, CancelReason, Cancelled, Outcome, Scope, UnfinishedSteps, branches::ActiveBranch,
};
use crate::{StepError, state::WorkflowState};

/// How long a task may continue after the grace period before it is considered to be blocking its thread.
const JOIN_MARGIN: Duration = Duration::from_secs(1);

/// Steps that run in their own tasks and can be stopped together.
///
/// A running task is never dropped. Instead, it is asked to stop, and its leaves end
/// within the grace period. A task that still does not end must be blocking its thread;
/// it is reported and abandoned.
pub(crate) struct Tasks {
    /// Receives the result of each task. The channel is unbounded, because it never contains more
    /// results than there are running tasks.
    results: UnboundedReceiver<TaskResult>,
    sender: UnboundedSender<TaskResult>,
    /// The unfinished tasks, by number.
    running: Vec<Option<Running>>,
    left: usize,
    parent: Call,
    cancel: Cancel,
    give_up_at: Option<Instant>,
}

/// A task's number, its outcome or panic, and a guard that counts the branch as active until the
/// result is read.
type TaskResult = (usize, std::thread::Result<Outcome>, ActiveBranch);

/// An unfinished task.
struct Running {
    call: Call,
    task: AbortHandle,
}

impl Tasks {
    /// Creates a group of tasks below `parent` that can be stopped together.
    pub(crate) fn new(parent: &Call) -> Self {
        let cancel = parent.cancel().child();
        let (sender, results) = unbounded_channel();
        Self { results, sender, running: Vec::new(), left: 0, parent: parent.clone(), cancel, give_up_at: None }
    }

    /// Returns the context for tasks that run children of the parent's step. The children see
    /// `scope` and `state`.
    pub(crate) fn context(&self, scope: Option<Arc<Scope>>, state: Arc<WorkflowState>) -> CallContext {
        CallContext { cancel: self.cancel.clone(), ..self.parent.inside(scope, state) }
    }

    /// Returns the call of the parent itself, so that it can continue in a task.
    pub(crate) fn own(&self) -> Call {
        self.parent.clone().with_cancel(&self.cancel)
    }

    /// Runs `call` in its own task by passing it to `run`.
    pub(crate) async fn run(call: Call, run: impl FnOnce(Call) -> BoxFuture<'static, Outcome>) -> Outcome {
        let mut tasks = Self::new(&call);
        tasks.spawn(0, tasks.own(), run);
        let lost = || call.failed(StepError::configuration("panic", "the task of the step was lost"));
        tasks.next().await.map_or_else(lost, |(_, outcome)| outcome)
    }

    /// Returns the number of unfinished tasks.
    pub(crate) fn len(&self) -> usize {
        self.left
    }

    /// Starts task `index`, which runs `call` by passing it to `run`.
    pub(crate) fn spawn<F, Fut>(&mut self, index: usize, call: Call, run: F)
    where
        F: FnOnce(Call) -> Fut,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        debug_assert!(call.cancel().is(&self.cancel), "calls from `context` and `own` share this stop request");
        if self.running.len() <= index {
            self.running.resize_with(index + 1, || None);
        }
        let named = call.clone();
        self.left += 1;
        // Leaves catch panics in user code, so a panic here comes from an interceptor or the
        // engine.
        let future = AssertUnwindSafe(run(call)).catch_unwind();
        let (sender, active) = (self.sender.clone(), self.parent.run().mark_active());
        let task = tokio::spawn(async move {
            // The receiver is gone if the whole group was dropped.
            let _ = sender.send((index, future.await, active));
        });
        self.running[index] = Some(Running { call: named, task: task.abort_handle() });
    }

    /// Asks all running tasks to stop.
    pub(crate) fn stop(&self, reason: CancelReason) {
        self.cancel.cancel(reason);
    }

    /// Returns the next task that has ended, with its number; `None` once all tasks have ended.
    pub(crate) async fn next(&mut self) -> Option<(usize, Outcome)> {
        while self.left > 0 {
            let Some((index, ended, active)) = self.join().await else { return Some(self.give_up()) };
            drop(active);
            // An abandoned task may still end; its result no longer matters.
            if let Some(Running { call, .. }) = self.running[index].take() {
                self.left -= 1;
                return Some((index, ended.unwrap_or_else(|panic| call.failed(StepError::panicked(&*panic)))));
            }
        }
        None
    }

    /// Returns the next result; `None` once the tasks that were asked to stop must be abandoned. No
    /// task is abandoned while one of them cleans up.
    async fn join(&mut self) -> Option<TaskResult> {
        if let Ok(ended) = self.results.try_recv() {
            return Some(ended);
        }
        let run = self.parent.run().clone();
        let _waiting = run.mark_waiting();
        loop {
            let Some(at) = self.give_up_at else {
                tokio::select! {
                    biased;
                    ended = self.results.recv() => return ended,
                    () = self.cancel.cancelled() => self.begin_grace(),
                }
                continue;
            };
            if let Ok(ended) = tokio::time::timeout_at(at, self.results.recv()).await {
                return ended;
            }
            if !self.cancel.cleans_up() {
                return None;
            }
            // Cleanup steps are not stopped; their own timeouts limit them. The grace
            // period begins after them.
            tokio::select! {
                biased;
                ended = self.results.recv() => return ended,
                () = self.cancel.cleaned_up() => self.begin_grace(),
            }
        }
    }

    fn begin_grace(&mut self) {
        self.give_up_at = Some(Instant::now() + self.parent.run().limits().cancel_grace + JOIN_MARGIN);
    }

    /// Reports and abandons a task that does not end.
    fn give_up(&mut self) -> (usize, Outcome) {
        let index =
            self.running.iter().position(Option::is_some).expect("`next` gives up only while tasks are running");
        let Running { call, task } = self.running[index].take().expect("the task is running");
        let path = call.path().to_path();
        self.left -= 1;
        task.abort();
        let run = self.parent.run().clone();
        let mut cancelled = Cancelled::new(self.cancel.reason().unwrap_or(CancelReason::Requested));
        cancelled.still_running = run.records().running_leaves(&path);
        let now = run.now();
        run.records().abandon(&path, now);
        (index, Outcome::cancelled(cancelled))
    }

    /// Waits for all running tasks; returns the activities left behind, and the
    /// steps that have not ended.
    pub(crate) async fn drain(&mut self) -> (Cancelled, UnfinishedSteps) {
        let mut left = Cancelled::new(self.cancel.reason().unwrap_or(CancelReason::Requested));
        let mut unfinished = UnfinishedSteps::default();
        while let Some((_, outcome)) = self.next().await {
            if let Some(Outcome::Cancelled(cancelled)) = unfinished.take(outcome) {
                left.absorb(*cancelled);
            }
        }
        (left, unfinished)
    }
}

impl Drop for Tasks {
    /// Stops all running tasks immediately, as a crash would.
    fn drop(&mut self) {
        self.running.iter().flatten().for_each(|running| running.task.abort());
    }
}
