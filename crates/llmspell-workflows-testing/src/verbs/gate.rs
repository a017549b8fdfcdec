use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::sync::lock;
use tokio::sync::watch;

use crate::crash::{CrashPoint, Crashed};

/// The number of boundaries before the crash that a report lists.
const TRAIL_MAX: usize = 12;

/// Counts and names the boundaries of one process, and crashes the process at one of them.
///
/// A call that makes a change passes one boundary before and one boundary after the change. Once
/// the process has crashed, calls that had already begun still take effect, as if they had happened
/// just before the crash, but their results are lost. No further call begins.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    point: CrashPoint,
    trail: Arc<Mutex<Trail>>,
    /// The number of calls that have begun but not returned.
    busy: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Trail {
    latest: VecDeque<String>,
    crashed_at: Option<String>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { point: CrashPoint::never(), trail: Arc::default(), busy: watch::Sender::new(0) }
    }

    pub(super) fn point(&self) -> &CrashPoint {
        &self.point
    }

    /// Passes a boundary of a synchronous call.
    pub(super) fn pass_now(&self, boundary: &str) -> Result<(), Crashed> {
        let passed = self.point.pass();
        let mut trail = lock(&self.trail);
        if trail.crashed_at.is_some() {
            return passed;
        }
        if passed.is_err() {
            trail.crashed_at = Some(boundary.to_owned());
        } else {
            trail.latest.push_back(boundary.to_owned());
            if trail.latest.len() > TRAIL_MAX {
                trail.latest.pop_front();
            }
        }
        passed
    }

    /// Passes a boundary. Never returns if the process crashes there or has already crashed.
    pub(super) async fn pass(&self, boundary: &str) {
        if self.pass_now(boundary).is_err() {
            std::future::pending().await
        }
    }

    /// Makes a call between two boundaries.
    pub(super) async fn around<T>(&self, call: &str, made: impl Future<Output = T>) -> T {
        self.pass(&format!("before {call}")).await;
        let busy = Busy::new(&self.busy);
        let result = made.await;
        drop(busy);
        self.pass(&format!("after {call}")).await;
        result
    }

    /// Waits until the process has crashed and no calls are in progress.
    pub(super) async fn dead(&self) {
        self.point.crashed().await;
        self.quiet().await;
    }

    /// Waits until no calls are in progress.
    pub(super) async fn quiet(&self) {
        // The sender is in this gate, so the channel stays open.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Returns the boundary of the crash and the boundaries before it, oldest first.
    pub(super) fn story(&self) -> String {
        let trail = lock(&self.trail);
        let latest: Vec<&str> = trail.latest.iter().map(String::as_str).collect();
        let crash = trail.crashed_at.as_deref().unwrap_or("none");
        format!("crashed at: {crash}; passed before: {}", latest.join(", "))
    }
}

/// A call in progress.
struct Busy<'g>(&'g watch::Sender<usize>);

impl<'g> Busy<'g> {
    fn new(busy: &'g watch::Sender<usize>) -> Self {
        busy.send_modify(|busy| *busy += 1);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_dies_only_after_its_calls_have_returned() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime starts");
        runtime.block_on(async {
            let gate = Gate::new();
            let (finish, finished) = tokio::sync::oneshot::channel::<()>();
            let call = tokio::spawn({
                let gate = gate.clone();
                async move { gate.around("slow", finished).await }
            });
            tokio::task::yield_now().await;
            gate.point().crash_after(0);
            assert!(gate.pass_now("other").is_err());
            let dead = tokio::spawn({
                let gate = gate.clone();
                async move { gate.dead().await }
            });
            tokio::task::yield_now().await;
            assert!(!dead.is_finished());
            finish.send(()).expect("the call waits");
            dead.await.expect("the call has returned");
            assert!(!call.is_finished(), "nobody learns the result of the call");
            assert_eq!(gate.story(), "crashed at: other; passed before: before slow");
        });
    }
}
