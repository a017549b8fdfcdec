//! Runs the compiled `spellflow` program in a temporary folder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The time that tests wait for an expected event.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A temporary folder in which `spellflow` runs without the user's configuration.
pub(crate) struct Sandbox(tempfile::TempDir);

/// The exit code and output of a process.
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Creates a sandbox with the definition `flow.yaml`.
    pub(crate) fn with_flow(text: &str) -> Self {
        Self::new().file("flow.yaml", text)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.0.path());
        command.args(arguments).env("HOME", self.path("home")).env_remove("XDG_CONFIG_HOME");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::new(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> CommandOutput {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        CommandOutput::new(child.wait_with_output().unwrap())
    }

    /// Creates a named pipe and reads its lines; the receiver disconnects once all writers are
    /// gone.
    pub(crate) fn pipe(&self, name: &str) -> Receiver<String> {
        self.make_pipe(name);
        self.open_pipe(name)
    }

    /// Reads the lines of an existing pipe.
    pub(crate) fn open_pipe(&self, name: &str) -> Receiver<String> {
        let path = self.path(name);
        lines(move || File::open(path).unwrap())
    }

    pub(crate) fn make_pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }
}

/// Returns a `spellflow` command in `folder`, without settings in its environment.
pub(crate) fn command(folder: &Path) -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_spellflow")), folder)
}

/// Prepares `command` to run in `folder`, without `spellflow` settings in its environment.
pub(crate) fn without_settings(mut command: Command, folder: &Path) -> Command {
    let ours =
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("SPELLFLOW_"));
    for name in ours.chain(["NO_COLOR".into()]) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// Reads lines in a thread.
pub(crate) fn lines<R: Read>(open: impl FnOnce() -> R + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(open()).lines().map_while(Result::ok);
        lines.map_while(|line| sender.send(line).ok()).for_each(drop);
    });
    receiver
}

/// Polls until `look` returns a value. There is no delay between polls, because each poll starts a
/// process and therefore takes time.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out");
        thread::yield_now();
    }
}

/// Waits for the end of `child` and returns its exit code.
pub(crate) fn exit_code(mut child: Child) -> Option<i32> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait().unwrap().code()));
    receiver.recv_timeout(TIMEOUT).expect("the process did not end in time")
}

impl CommandOutput {
    pub(crate) fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("the process was ended by a signal");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Parses standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// Replaces the parts that differ between runs: durations become `TIME`, run ids become `RUN`.
pub(crate) fn normalize(text: &str) -> String {
    let id = Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let time = Regex::new(r"\b\d+(\.\d+)?(µs|ms|s)\b").unwrap();
    let milliseconds = Regex::new(r#""duration_ms":\s?[0-9.]+"#).unwrap();
    let text = milliseconds.replace_all(text, r#""duration_ms": 0"#);
    time.replace_all(&id.replace_all(&text, "RUN"), "TIME").into_owned()
}

/// A command that is running as if in another terminal.
pub(crate) struct Terminal {
    child: Child,
    pub(crate) stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
}

impl Terminal {
    pub(crate) fn open(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: lines(move || stdout), stderr: lines(move || stderr) }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Returns the name of this process in messages, with a trailing space.
    pub(crate) fn name(&self) -> String {
        format!("process {} ", self.child.id())
    }

    /// Waits for the end; returns the exit code, the lines of standard output, and standard error.
    pub(crate) fn end(self) -> (Option<i32>, Vec<String>, String) {
        let code = exit_code(self.child);
        (code, self.stdout.iter().collect(), self.stderr.iter().collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Returns whether the command has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// Returns the sorted lines of the file `effects`, and clears it.
pub(crate) fn take_effects(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("effects")).unwrap_or_default();
    fs::write(sandbox.path("effects"), "").unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn show(sandbox: &Sandbox, run: &str) -> Value {
    sandbox.run(&["runs", "show", run, "-o", "json"]).json()
}

/// Returns the id of the newest run, not counting the runs of sub-workflows.
pub(crate) fn newest_run(sandbox: &Sandbox) -> String {
    show(sandbox, "@last")["run_id"].as_str().unwrap().to_owned()
}

/// Asserts the exit code and the code of the JSON error.
pub(crate) fn assert_error(ended: &CommandOutput, code: i32, error: &str) {
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (code, &error.into()), "{}{}", ended.stdout, ended.stderr);
}

/// Returns the JSON output of a command that succeeds.
pub(crate) fn json_of(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let ended = sandbox.run(&[arguments, &["-o", "json"]].concat());
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.json()
}

/// Writes a line to the pipe `tell`, so that the step waiting for it can finish.
pub(crate) fn release_step(sandbox: &Sandbox) {
    fs::OpenOptions::new().write(true).open(sandbox.path("tell")).unwrap().write_all(b"on\n").unwrap();
}
