//! A second process: this test program again, told by variables of its environment which journal to use.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Signal, getpid, kill_process};

use crate::support::{ON_DISK, OnDisk};

const FOLDER: &str = "JOURNAL_OF_A_CHILD";

const ADAPTER: &str = "ADAPTER_OF_A_CHILD";

/// What runs the test `name` of this program in another process, on the journal in `folder`.
pub(crate) fn command(name: &str, adapter: &OnDisk, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(arguments(name)).env(FOLDER, folder).env(ADAPTER, adapter.name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What tells this program to run the test `name` alone.
pub(crate) fn arguments(name: &str) -> [&str; 4] {
    [name, "--exact", "--nocapture", "--test-threads=1"]
}

/// The journal that another process told this one, and its folder; `None` where this is not the second.
pub(crate) fn told() -> Option<(OnDisk, PathBuf)> {
    let (folder, name) = (env::var_os(FOLDER)?, env::var(ADAPTER).ok()?);
    Some((ON_DISK.into_iter().find(|adapter| adapter.name == name)?, folder.into()))
}

/// Writes a line to standard output, at once and as one.
pub(crate) fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// Ends this process as nothing in it can see or prevent.
pub(crate) fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    unreachable!("the signal has ended it")
}
