use std::{
    any::Any,
    future::poll_fn,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::FutureExt;
use llmspell_workflows_basic::sync::lock;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use super::{FireResult, Members, watchdog::Watchdog};
use crate::{
    HookContext, HookError, HookFailure, HookReport, TIMEOUT_DEFAULT, Verdict,
    registration::{Entry, Member},
    report::panic_text,
};

/// Calls hooks one after the other in a separate task that a watchdog monitors.
///
/// The hooks share one task, because a task for each hook would cost more than the hook itself. A late hook is
/// abandoned together with its task, and the remaining hooks continue in a new task. Even a hook that blocks its thread
/// therefore costs no more than its timeout.
pub(super) struct HookSequence {
    members: Members,
    state: Mutex<State>,
    /// Notified when all hooks are done, or when a new task has to continue.
    changed: Notify,
    /// The task that is polling a hook right now, if any. A hook that is being polled when its timeout expires blocks
    /// its thread.
    polling: AtomicU32,
}

struct State {
    /// The index of the current hook.
    current: usize,
    /// When the current hook was called.
    since: Instant,
    /// The number of the current task; earlier tasks are abandoned.
    task: u32,
    is_done: bool,
    context: Arc<HookContext>,
    result: FireResult,
}

/// The task number that stands for "none".
const NO_TASK: u32 = 0;

/// Aborts a task when dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type CallResult = Result<Result<Option<Box<Verdict>>, HookError>, Box<dyn Any + Send>>;

impl HookSequence {
    /// Calls `members` one after the other with `context`.
    pub(super) async fn run(watchdog: &Arc<Watchdog>, members: Members, context: HookContext) -> FireResult {
        let now = Instant::now();
        let late_at = now + members.first().map_or(TIMEOUT_DEFAULT, |member| member.entry.timeout);
        let result = FireResult::default();
        let context = Arc::new(context);
        let state = State { current: 0, since: now, task: NO_TASK + 1, is_done: false, context, result };
        let (polling, changed) = (AtomicU32::new(NO_TASK), Notify::new());
        let sequence = Arc::new(Self { members, state: Mutex::new(state), polling, changed });
        let _watch_guard = watchdog.register(&sequence, late_at);
        while let Some(task) = sequence.next_task() {
            let _abort_guard = AbortOnDrop(tokio::spawn(sequence.clone().work(task)));
            sequence.changed.notified().await;
        }
        std::mem::take(&mut sequence.lock().result)
    }

    /// Returns the number of the task that must continue, or `None` once all hooks are done.
    fn next_task(&self) -> Option<u32> {
        let mut state = self.lock();
        state.since = Instant::now();
        (!state.is_done && state.current < self.members.len()).then_some(state.task)
    }

    /// Abandons the current hook if it is late, and returns when to check again.
    pub(super) fn check(&self) -> Instant {
        if self.abandon_late_hook() {
            self.changed.notify_one();
        }
        let state = self.lock();
        let timeout = self.members.get(state.current).map(|member| member.entry.timeout);
        match timeout {
            Some(timeout) if !state.is_done => state.since + timeout,
            // All hooks are done, so the time of the next check does not matter.
            _ => Instant::now() + TIMEOUT_DEFAULT,
        }
    }

    /// Abandons the current hook and returns true if it is late.
    fn abandon_late_hook(&self) -> bool {
        let mut state = self.lock();
        let Some(member) = self.members.get(state.current).filter(|_| !state.is_done) else { return false };
        let timeout = member.entry.timeout;
        if Instant::now() < state.since + timeout {
            return false;
        }
        let blocks = self.polling.load(Ordering::Relaxed) == state.task;
        state.task += 1;
        state.since = Instant::now();
        let failure = if blocks { HookFailure::Blocked(timeout) } else { HookFailure::TimedOut(timeout) };
        self.record_failure(&mut state, &member.entry, failure);
        true
    }

    /// Calls one hook after the other until all are done or this task is abandoned.
    async fn work(self: Arc<Self>, task: u32) {
        let mut next = self.next(&mut self.lock(), task);
        while let Some((member, context)) = next {
            let answer = AssertUnwindSafe(self.poll_hook(task, member, &context)).catch_unwind().await;
            let mut state = self.lock();
            if state.task == task {
                self.finish(&mut state, member, answer);
            }
            next = self.next(&mut state, task);
        }
        if self.lock().task == task {
            self.changed.notify_one();
        }
    }

    /// Returns the next hook for this task.
    fn next(&self, state: &mut State, task: u32) -> Option<(&Member, Arc<HookContext>)> {
        while state.task == task && !state.is_done {
            let member = self.members.get(state.current)?;
            if member.entry.breaker.admits() {
                state.since = Instant::now();
                return Some((member, state.context.clone()));
            }
            state.current += 1;
            if member.entry.required {
                let report = self.report(state, &member.entry, HookFailure::CutOff, false);
                state.result.reports.push(report);
                state.is_done = true;
            }
        }
        None
    }

    async fn poll_hook(
        &self,
        task: u32,
        member: &Member,
        context: &HookContext,
    ) -> Result<Option<Box<Verdict>>, HookError> {
        self.polling.store(task, Ordering::Relaxed);
        let mut answer = member.hook.call(context);
        poll_fn(|cx| {
            self.polling.store(task, Ordering::Relaxed);
            let poll = answer.as_mut().poll(cx);
            // If this hook has been abandoned, a new task may already be polling.
            let _ = self.polling.compare_exchange(task, NO_TASK, Ordering::Relaxed, Ordering::Relaxed);
            poll
        })
        .await
    }

    /// Records the answer or the failure of a hook that was not abandoned.
    fn finish(&self, state: &mut State, member: &Member, answer: CallResult) {
        let failure = match answer {
            Ok(Ok(verdict)) => {
                member.entry.breaker.record_success();
                state.current += 1;
                if let Some(verdict) = verdict {
                    state.context = Arc::new(HookContext::clone(&state.context).after(&verdict));
                    state.is_done = !verdict.course.is_continue();
                    state.result.verdict.absorb(*verdict);
                }
                return;
            }
            Ok(Err(error)) => HookFailure::Failed(error.to_string()),
            Err(panic) => HookFailure::Panicked(panic_text(&*panic)),
        };
        self.record_failure(state, &member.entry, failure);
    }

    /// Records that the current hook failed, and moves to the next hook unless the failed hook is required.
    fn record_failure(&self, state: &mut State, entry: &Entry, failure: HookFailure) {
        let cut_off = entry.breaker.record_failure();
        let report = self.report(state, entry, failure, cut_off);
        state.result.reports.push(report);
        state.current += 1;
        state.is_done = entry.required;
    }

    fn report(&self, state: &State, entry: &Entry, failure: HookFailure, cut_off: bool) -> HookReport {
        let hook = entry.name.as_str().into();
        HookReport { hook, point: state.context.point(), failure, cut_off, required: entry.required }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
