use std::time::Duration;

use async_trait::async_trait;
use llmspell_workflows_basic::activity::Leftovers;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long to wait for the processes to stop before killing them, and for killed processes to end.
const TERM_WAIT: Duration = Duration::from_secs(2);
const KILL_WAIT: Duration = Duration::from_secs(2);

/// How often to look meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Ends processes of `shell` steps whose `spellflow` process died.
///
/// Each process of a step has the run and the step's path in its environment, and so have the processes that it starts,
/// even those that leave its process group. On Linux, `/proc` shows the environment of all processes of the same user;
/// other systems have no such list, so there nothing is found.
pub(in super::super) struct Processes;

#[async_trait]
impl Leftovers for Processes {
    async fn end(&self, run: Uuid, paths: &[String]) -> Vec<String> {
        let of_steps = |signal: Option<Signal>| {
            let found = find(run, paths);
            for pid in signal.iter().flat_map(|_| &found) {
                // A process that is already gone needs no signal.
                let _ = signal.map(|signal| kill_process(*pid, signal));
            }
            found
        };
        for (signal, wait) in [(Signal::TERM, TERM_WAIT), (Signal::KILL, KILL_WAIT)] {
            let mut left = of_steps(Some(signal));
            let deadline = Instant::now() + wait;
            while !left.is_empty() && Instant::now() < deadline {
                sleep(POLL_INTERVAL).await;
                left.retain(|pid| test_kill_process(*pid).is_ok() && is_of_step(*pid, run, paths));
            }
            if of_steps(None).is_empty() {
                return Vec::new();
            }
        }
        of_steps(None).into_iter().map(|pid| format!("process {}", pid.as_raw_nonzero())).collect()
    }
}

/// Returns the processes of the steps at `paths` of `run`.
fn find(run: Uuid, paths: &[String]) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = rustix::process::getpid();
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).filter(|pid| *pid != own && is_of_step(*pid, run, paths)).collect()
}

/// Returns whether the environment of a process names one of the steps at `paths` of `run`.
fn is_of_step(pid: Pid, run: Uuid, paths: &[String]) -> bool {
    // The environment of a process that has ended, or of another user, cannot be read.
    let Ok(environment) = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) else { return false };
    let value_of = |name: &str| {
        let mut entries = environment.split(|byte| *byte == 0);
        entries.find_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix(name)?.strip_prefix('='))
    };
    value_of("SPELLFLOW_RUN_ID").is_some_and(|id| id == run.to_string())
        && value_of("SPELLFLOW_STEP_PATH").is_some_and(|path| paths.iter().any(|known| known == path))
}
