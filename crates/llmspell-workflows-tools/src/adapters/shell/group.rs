use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

/// How long to wait for leftover processes to stop before killing them.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);

/// The interval between checks of a stopping group.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A process group that is killed on drop.
pub(super) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Returns the group led by the process `leader`.
    pub(super) fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Asks every process in the group to stop.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills every process in the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops the processes remaining in the group after its leader has exited, and kills any that
    /// do not stop in time.
    ///
    /// This method also waits for processes that have exited but have not yet been reaped by the
    /// init process.
    pub(super) async fn end(mut self) {
        self.terminate();
        let deadline = Instant::now() + LEFTOVER_GRACE;
        while self.is_alive() && Instant::now() < deadline {
            sleep(POLL_INTERVAL).await;
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
            // A group that is already gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
