use std::{io::Read, time::Duration};

use async_trait::async_trait;
use llmspell_workflows_basic::activity::Leftovers;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long to wait for the processes to stop before killing them, and for killed processes to end.
const TERM_WAIT: Duration = Duration::from_secs(2);
const KILL_WAIT: Duration = Duration::from_secs(2);

/// The interval between checks of the processes.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Ends processes of `shell` steps whose `spellflow` process died.
///
/// A step's process and all processes started from it have the run and the step's path in their
/// environment, even if they leave the process group. On Linux, `/proc` shows the environments of
/// all processes of the same user. Other systems have no such list, so no processes are found
/// there.
pub(in super::super) struct Processes;

#[async_trait]
impl Leftovers for Processes {
    async fn end(&self, run: Uuid, paths: &[String]) -> Vec<String> {
        let mut environments = Environments::default();
        for (signal, wait) in [(Signal::TERM, TERM_WAIT), (Signal::KILL, KILL_WAIT)] {
            let mut left = environments.find(run, paths);
            if left.is_empty() {
                return Vec::new();
            }
            for pid in &left {
                // A process that is already gone needs no signal.
                let _ = kill_process(*pid, signal);
            }
            let deadline = Instant::now() + wait;
            while !left.is_empty() && Instant::now() < deadline {
                sleep(POLL_INTERVAL).await;
                left.retain(|pid| test_kill_process(*pid).is_ok() && environments.is_of_step(*pid, run, paths));
            }
        }
        let left = environments.find(run, paths).into_iter();
        left.map(|pid| format!("process {}", pid.as_raw_nonzero())).collect()
    }
}

/// Reads the environments of processes, one after the other.
///
/// Resuming a run examines all processes on the system before the first step, so the buffer is
/// reused, and each file is read with as few system calls as possible.
#[derive(Default)]
struct Environments {
    buffer: Vec<u8>,
}

/// The initial length of the buffer. Longer environments are rare.
const BUFFER_MIN: usize = 64 << 10;

impl Environments {
    /// Returns the processes of the steps at `paths` in `run`.
    fn find(&mut self, run: Uuid, paths: &[String]) -> Vec<Pid> {
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let own = rustix::process::getpid();
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter_map(Pid::from_raw).filter(|pid| *pid != own && self.is_of_step(*pid, run, paths)).collect()
    }

    /// Returns whether a process's environment names one of the steps at `paths` in `run`.
    fn is_of_step(&mut self, pid: Pid, run: Uuid, paths: &[String]) -> bool {
        // The environment of an ended process or of another user's process cannot be read.
        let Ok(environment) = self.read(pid) else { return false };
        let value_of = |name: &str| {
            let mut entries = environment.split(|byte| *byte == 0);
            entries.find_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix(name)?.strip_prefix('='))
        };
        value_of("SPELLFLOW_RUN_ID").is_some_and(|id| id == run.to_string())
            && value_of("SPELLFLOW_STEP_PATH").is_some_and(|path| paths.iter().any(|known| known == path))
    }

    fn read(&mut self, pid: Pid) -> std::io::Result<&[u8]> {
        let mut file = std::fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero()))?;
        self.buffer.resize(self.buffer.len().max(BUFFER_MIN), 0);
        let mut length = 0;
        loop {
            let read = file.read(&mut self.buffer[length..])?;
            length += read;
            // `/proc` fills the buffer as long as more data remains.
            if length < self.buffer.len() {
                return Ok(&self.buffer[..length]);
            }
            self.buffer.resize(2 * length, 0);
        }
    }
}
