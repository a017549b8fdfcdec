//! Child processes that run this test program again; environment variables specify the journal to use.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Signal, getpid, kill_process};

use crate::support::{ON_DISK, OnDisk};

const FOLDER_VARIABLE: &str = "JOURNAL_OF_A_CHILD";

const ADAPTER_VARIABLE: &str = "ADAPTER_OF_A_CHILD";

/// Returns the command that runs the test `name` of this program in another process, on the journal in `folder`.
pub(crate) fn command(name: &str, adapter: &OnDisk, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(arguments(name)).env(FOLDER_VARIABLE, folder).env(ADAPTER_VARIABLE, adapter.name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the arguments that make this program run only the test `name`.
pub(crate) fn arguments(name: &str) -> [&str; 4] {
    [name, "--exact", "--nocapture", "--test-threads=1"]
}

/// Returns the journal and folder passed by the parent process; `None` in the parent itself.
pub(crate) fn child_task() -> Option<(OnDisk, PathBuf)> {
    let (folder, name) = (env::var_os(FOLDER_VARIABLE)?, env::var(ADAPTER_VARIABLE).ok()?);
    Some((ON_DISK.into_iter().find(|adapter| adapter.name == name)?, folder.into()))
}

/// Writes a line to standard output atomically, and flushes it.
pub(crate) fn report(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// Kills this process in a way that it can neither notice nor prevent.
pub(crate) fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    unreachable!("the signal ends the process")
}
