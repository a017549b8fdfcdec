//! A real `spellflow` in a folder of its own.

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

/// How long a test waits for something that is about to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with files, in which `spellflow` is started without any configuration of the user's.
pub(crate) struct Place(tempfile::TempDir);

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with the definition `flow.yaml`.
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

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Ended::new(child.wait_with_output().unwrap())
    }

    /// A pipe with a name; what comes out of it line by line, then nothing more once every writer is gone.
    pub(crate) fn pipe(&self, name: &str) -> Receiver<String> {
        self.make_pipe(name);
        self.again(name)
    }

    /// What comes out of a pipe that is there.
    pub(crate) fn again(&self, name: &str) -> Receiver<String> {
        let path = self.path(name);
        lines(move || File::open(path).unwrap())
    }

    pub(crate) fn make_pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }
}

/// `spellflow` in `folder`, without settings in its environment.
pub(crate) fn command(folder: &Path) -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_spellflow")), folder)
}

/// `command` in `folder`, without settings of `spellflow` in its environment.
pub(crate) fn without_settings(mut command: Command, folder: &Path) -> Command {
    let ours =
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("SPELLFLOW_"));
    for name in ours.chain(["NO_COLOR".into()]) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// The lines of what `open` gives, read in a thread.
pub(crate) fn lines<R: Read>(open: impl FnOnce() -> R + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(open()).lines().map_while(Result::ok);
        lines.map_while(|line| sender.send(line).ok()).for_each(drop);
    });
    receiver
}

/// What `look` finds, which must happen soon; each look starts a process, so it takes its time.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < late, "it should have happened by now");
        thread::yield_now();
    }
}

/// The exit code of `child`, which must end soon.
pub(crate) fn exit_code(mut child: Child) -> Option<i32> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(child.wait().unwrap().code()));
    receiver.recv_timeout(PATIENCE).expect("the process should have ended")
}

impl Ended {
    pub(crate) fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("no signal ended it");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// `text` with what differs from run to run replaced: times as `TIME`, run ids as `RUN`.
pub(crate) fn steady(text: &str) -> String {
    let id = Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let time = Regex::new(r"\b\d+(\.\d+)?(µs|ms|s)\b").unwrap();
    let milliseconds = Regex::new(r#""duration_ms":\s?[0-9.]+"#).unwrap();
    let text = milliseconds.replace_all(text, r#""duration_ms": 0"#);
    time.replace_all(&id.replace_all(&text, "RUN"), "TIME").into_owned()
}

/// A terminal in which a command is at work.
pub(crate) struct Terminal {
    child: Child,
    pub(crate) stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
}

impl Terminal {
    pub(crate) fn open(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: lines(move || stdout), stderr: lines(move || stderr) }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    pub(crate) fn name(&self) -> String {
        format!("process {} ", self.child.id())
    }

    /// The exit code, what it wrote to standard output, and to standard error.
    pub(crate) fn end(self) -> (Option<i32>, Vec<String>, String) {
        let code = exit_code(self.child);
        (code, self.stdout.iter().collect(), self.stderr.iter().collect::<Vec<_>>().join("\n"))
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether its command has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// What has been performed since the last time: the lines of `effects`, sorted.
pub(crate) fn performed(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("effects")).unwrap_or_default();
    fs::write(place.path("effects"), "").unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn show(place: &Place, run: &str) -> Value {
    place.run(&["runs", "show", run, "-o", "json"]).json()
}

/// The id of the newest run that is no step of another.
pub(crate) fn newest(place: &Place) -> String {
    show(place, "@last")["run_id"].as_str().unwrap().to_owned()
}

/// That `ended` with `code`, and the error `error` as JSON.
pub(crate) fn expect(ended: &Ended, code: i32, error: &str) {
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (code, &error.into()), "{}{}", ended.stdout, ended.stderr);
}
