use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

/// How long what a process left behind has to stop once it is asked to, before it is killed.
const LEFT_WAIT: Duration = Duration::from_millis(500);

/// How often a group is looked at while it stops.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A process group that is killed where it is dropped.
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that the process `leader` leads.
    pub(super) fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Asks every process of it to stop.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every process of it at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends when no process of it is left, once its leader has ended: those that do not stop in time are killed.
    ///
    /// One that has ended and is not waited for by the system's first process counts as left until then.
    pub(super) async fn end(mut self) {
        self.terminate();
        let deadline = Instant::now() + LEFT_WAIT;
        while self.is_alive() && Instant::now() < deadline {
            sleep(LOOK_INTERVAL).await;
        }
        if !self.is_alive() {
            self.0 = None;
        }
    }

    fn is_alive(&self) -> bool {
        self.0.is_some_and(|group| test_kill_process_group(group).is_ok())
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that is gone already needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
