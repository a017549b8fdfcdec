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

use super::{Fired, Members, watch::Watch};
use crate::{
    HookContext, HookError, Report, TIMEOUT_DEFAULT, Trouble, Verdict,
    registration::{Entry, Member},
    report::panic_text,
};

/// Hooks that are called one after the other in a task of their own, and are watched from outside of it.
///
/// One task serves all of them, since a task each would cost a step more than the hooks do. Where one is late, it is
/// left behind with its task, and the rest go on in another: so none costs more than its timeout, even if it blocks.
pub(super) struct Turns {
    members: Members,
    state: Mutex<State>,
    /// That all is said, or that another task has to go on.
    said: Notify,
    /// Which task polls a hook right now, if any: if it stays so, the hook blocks.
    polling: AtomicU32,
}

struct State {
    /// Whose turn it is.
    at: usize,
    /// Since when.
    since: Instant,
    /// Which task goes on; the ones before it are left behind.
    task: u32,
    is_over: bool,
    context: HookContext,
    fired: Fired,
}

/// The number of no task.
const NOBODY: u32 = 0;

/// A task that goes no further once nobody waits for it.
struct Working(JoinHandle<()>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Ended = Result<Result<Verdict, HookError>, Box<dyn Any + Send>>;

impl Turns {
    /// Calls `members` one after the other about `context`.
    pub(super) async fn take(watch: &Arc<Watch>, members: Members, context: HookContext) -> Fired {
        let now = Instant::now();
        let late_at = now + members.first().map_or(TIMEOUT_DEFAULT, |member| member.entry.timeout);
        let fired = Fired::default();
        let state = State { at: 0, since: now, task: NOBODY + 1, is_over: false, context, fired };
        let (polling, said) = (AtomicU32::new(NOBODY), Notify::new());
        let turns = Arc::new(Self { members, state: Mutex::new(state), polling, said });
        let _watched = watch.over(&turns, late_at);
        while let Some(task) = turns.task() {
            let _working = Working(tokio::spawn(turns.clone().work(task)));
            turns.said.notified().await;
        }
        std::mem::take(&mut turns.lock().fired)
    }

    /// The number of the task that goes on, unless all is said.
    fn task(&self) -> Option<u32> {
        let mut state = self.lock();
        state.since = Instant::now();
        (!state.is_over && state.at < self.members.len()).then_some(state.task)
    }

    /// Goes on without the hook whose turn it is, if that has taken too long; when to look again.
    pub(super) fn look(&self) -> Instant {
        if self.leave_behind() {
            self.said.notify_one();
        }
        let state = self.lock();
        let timeout = self.members.get(state.at).map(|member| member.entry.timeout);
        match timeout {
            Some(timeout) if !state.is_over => state.since + timeout,
            // All is said, so nobody waits for this look.
            _ => Instant::now() + TIMEOUT_DEFAULT,
        }
    }

    /// Goes on without the hook whose turn it is, if it has taken too long.
    fn leave_behind(&self) -> bool {
        let mut state = self.lock();
        let Some(member) = self.members.get(state.at).filter(|_| !state.is_over) else { return false };
        let timeout = member.entry.timeout;
        if Instant::now() < state.since + timeout {
            return false;
        }
        let blocks = self.polling.load(Ordering::Relaxed) == state.task;
        state.task += 1;
        state.since = Instant::now();
        let trouble = if blocks { Trouble::Blocked(timeout) } else { Trouble::TimedOut(timeout) };
        self.trouble(&mut state, &member.entry, trouble);
        true
    }

    /// Calls one hook after the other, as long as this task is not left behind.
    async fn work(self: Arc<Self>, task: u32) {
        while let Some((member, context)) = self.next(task) {
            let ended = AssertUnwindSafe(self.polled(task, member, &context)).catch_unwind().await;
            self.end(task, member, ended);
        }
        if self.lock().task == task {
            self.said.notify_one();
        }
    }

    /// Who is next, for this task.
    fn next(&self, task: u32) -> Option<(&Member, HookContext)> {
        let mut state = self.lock();
        while state.task == task && !state.is_over {
            let member = self.members.get(state.at)?;
            if member.entry.breaker.admits() {
                state.since = Instant::now();
                return Some((member, state.context.clone()));
            }
            state.at += 1;
            if member.entry.required {
                let report = self.report(&state, &member.entry, Trouble::CutOff, false);
                state.fired.reports.push(report);
                state.is_over = true;
            }
        }
        None
    }

    async fn polled(&self, task: u32, member: &Member, context: &HookContext) -> Result<Verdict, HookError> {
        self.polling.store(task, Ordering::Relaxed);
        let mut answer = member.hook.call(context);
        poll_fn(|cx| {
            self.polling.store(task, Ordering::Relaxed);
            let polled = answer.as_mut().poll(cx);
            // One that was left behind has nothing to say any more.
            let _ = self.polling.compare_exchange(task, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Takes in what a hook says, unless it was left behind.
    fn end(&self, task: u32, member: &Member, ended: Ended) {
        let mut state = self.lock();
        if state.task != task {
            return;
        }
        let trouble = match ended {
            Ok(Ok(verdict)) => {
                member.entry.breaker.succeeded();
                state.at += 1;
                if !verdict.is_continue() {
                    state.context = state.context.clone().after(&verdict);
                    state.is_over = !verdict.course.is_continue();
                    state.fired.verdict.absorb(verdict);
                }
                return;
            }
            Ok(Err(error)) => Trouble::Failed(error.to_string()),
            Err(panic) => Trouble::Panicked(panic_text(&*panic)),
        };
        self.trouble(&mut state, &member.entry, trouble);
    }

    /// Notes that the hook whose turn it is has failed, and goes on to the next, unless nothing happens without it.
    fn trouble(&self, state: &mut State, entry: &Entry, trouble: Trouble) {
        let cut_off = entry.breaker.failed();
        let report = self.report(state, entry, trouble, cut_off);
        state.fired.reports.push(report);
        state.at += 1;
        state.is_over = entry.required;
    }

    fn report(&self, state: &State, entry: &Entry, trouble: Trouble, cut_off: bool) -> Report {
        let hook = entry.name.as_str().into();
        Report { hook, point: state.context.point(), trouble, cut_off, required: entry.required }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
