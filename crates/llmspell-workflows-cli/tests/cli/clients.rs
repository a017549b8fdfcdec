//! Clients of the program: their processes, the processes' output, and the history of
//! acknowledgements and step effects.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, ChildStdout, Command as System, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use llmspell_workflows_testing::history::{
    Asked, Command, Observation, Outcome, Report, StoredRun, What, check, read, write,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Sandbox, TIMEOUT, without_settings};

/// The script `effect.sh` for `shell` steps. It records its start and end in the history, one line
/// per write. If its argument is a number, it fails until it has been started that many times in
/// its run.
pub(crate) const EFFECT: &str = r#"
ulimit -S -f unlimited
line() {
  time=$(date +%s%6N)
  case $time in *N) time=null ;; esac
  printf '{"process":"%s","time_us":%s,"%s":{"run":"%s","step":"%s","attempt":%s}}\n' \
    "$HISTORY_PROCESS" "$time" "$1" "$SPELLFLOW_RUN_ID" "$SPELLFLOW_STEP_PATH" "$SPELLFLOW_ATTEMPT" >> history.jsonl
}
line effect_began
if [ -n "$1" ]; then
  echo x >> "attempts-$SPELLFLOW_RUN_ID"
  [ "$(wc -l < "attempts-$SPELLFLOW_RUN_ID")" -ge "$1" ] || exit 1
fi
line effect_ended
"#;

/// The clients of one test.
pub(crate) struct Clients {
    pub(crate) sandbox: Sandbox,
    history: Arc<File>,
    active: Vec<Process>,
    started: usize,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// Shell commands that set limits for processes started from now on.
    pub(crate) limits: Option<String>,
    /// The number of times each exit code or error code was seen.
    pub(crate) ends: BTreeMap<String, usize>,
}

/// A started process that has not been waited for.
struct Process {
    name: String,
    child: Child,
    asked: Asked,
    strike: Option<Strike>,
    /// The time at which a stopped process continues.
    stopped_until: Option<Instant>,
    lines: usize,
    said: Vec<Value>,
    started: Instant,
}

/// A signal that is sent some time after a process has printed a given number of lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    pub(crate) lines: usize,
    pub(crate) delay: Duration,
    /// The time for which the process is stopped; `None` if it is killed.
    pub(crate) stops_for: Option<Duration>,
}

impl Process {
    /// Returns the time at which the next signal must be sent to the process.
    fn due(&self) -> Option<Instant> {
        let strike = self.strike.filter(|strike| self.lines >= strike.lines);
        self.stopped_until.or(strike.map(|strike| self.started + strike.delay))
    }

    fn strike(&mut self) {
        if self.stopped_until.take().is_some() {
            return self.signal(Signal::CONT);
        }
        match self.strike.take().and_then(|strike| strike.stops_for) {
            Some(time) => {
                self.signal(Signal::STOP);
                self.stopped_until = Some(Instant::now() + time);
            }
            None => self.signal(Signal::KILL),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).unwrap()
    }

    /// Sends a signal to the process. The process has not been waited for, so its id is not reused.
    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }
}

impl Drop for Process {
    /// Kills the process, so that a failing test does not leave it running.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // The process may have ended in the meantime.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An event of a process.
enum Event {
    Line(String, Value),
    /// The process closed its standard output.
    Closed(String),
}

/// The result and output of an ended command.
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) asked: Asked,
    pub(crate) outcome: Outcome,
    /// `None` if the process was killed.
    pub(crate) code: Option<i32>,
    pub(crate) said: Vec<Value>,
    pub(crate) stderr: String,
}

impl Clients {
    /// Creates clients in a sandbox; they continue an existing history.
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        fs::write(sandbox.path("effect.sh"), EFFECT).unwrap();
        let path = sandbox.path("history.jsonl");
        let started = fs::read_to_string(&path).unwrap_or_default().matches("\"asked\"").count();
        let history = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let (sender, events) = channel();
        let (history, active, ends) = (Arc::new(history), Vec::new(), BTreeMap::new());
        Self { sandbox, history, active, started, sender, events, limits: None, ends }
    }

    /// Returns the sandbox, for further use without these clients.
    pub(crate) fn into_sandbox(self) -> Sandbox {
        self.sandbox
    }

    pub(crate) fn observe(&self, process: &str, what: What) {
        append(&self.history, process, what);
    }

    /// Returns the number of running processes.
    pub(crate) fn count(&self) -> usize {
        self.active.len()
    }

    /// Returns the name of the next process.
    pub(crate) fn next_name(&self) -> String {
        format!("p{}", self.started + 1)
    }

    /// Starts a command, which is killed or stopped later if `strike` is given.
    pub(crate) fn start(&mut self, asked: Asked, arguments: &[&str], strike: Option<Strike>) {
        let name = self.next_name();
        self.started += 1;
        self.observe(&name, What::Asked(asked.clone()));
        let mut command = self.command(arguments);
        command.args(["-o", "jsonl", "--store", &asked.store]).env("HISTORY_PROCESS", &name);
        let stderr = File::create(self.sandbox.path(&format!("stderr-{name}"))).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (history, sender, of) = (self.history.clone(), self.sender.clone(), name.clone());
        thread::spawn(move || listen(&history, &of, stdout, &sender));
        let (lines, said, started, stopped_until) = (0, Vec::new(), Instant::now(), None);
        self.active.push(Process { name, child, asked, strike, stopped_until, lines, said, started });
    }

    fn command(&self, arguments: &[&str]) -> System {
        let Some(limits) = &self.limits else { return self.sandbox.command(arguments) };
        let spellflow = self.sandbox.command(&[]);
        let mut shell = without_settings(System::new("sh"), &self.sandbox.path(""));
        shell.args(["-c", &format!("{limits}; exec \"$@\""), "sh"]).arg(spellflow.get_program()).args(arguments);
        shell.env("HOME", self.sandbox.path("home")).env_remove("XDG_CONFIG_HOME");
        shell
    }

    /// Runs a command to its end; no other command may be running.
    pub(crate) fn run(&mut self, asked: Asked, arguments: &[&str]) -> Ended {
        assert!(self.active.is_empty(), "another process is running");
        self.start(asked, arguments, None);
        self.wait_for_end()
    }

    /// Waits for the next event, and kills, stops or continues the processes for which a signal is
    /// due. Returns the ended command, if any.
    pub(crate) fn wait(&mut self) -> Option<Ended> {
        let first = self.active.iter().filter_map(Process::due).min();
        let wait = first.map_or(TIMEOUT, |at| at.saturating_duration_since(Instant::now()));
        match self.events.recv_timeout(wait) {
            Ok(Event::Line(name, line)) => {
                let process = self.active.iter_mut().find(|process| process.name == name).unwrap();
                process.lines += 1;
                process.said.push(line);
                // The delay begins with the line that the strike was waiting for.
                if process.strike.is_some_and(|strike| strike.lines == process.lines) {
                    process.started = Instant::now();
                }
                None
            }
            Ok(Event::Closed(name)) => Some(self.end(&name)),
            Err(RecvTimeoutError::Timeout) => {
                let at = first.unwrap_or_else(|| panic!("{} do not end", self.names()));
                for process in self.active.iter_mut().filter(|process| process.due().is_some_and(|due| due <= at)) {
                    process.strike();
                }
                None
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("this has a sender of its own"),
        }
    }

    /// Waits until a command ends.
    pub(crate) fn wait_for_end(&mut self) -> Ended {
        loop {
            if let Some(ended) = self.wait() {
                return ended;
            }
        }
    }

    /// Returns the operating system's id of a process that has not ended.
    pub(crate) fn pid(&self, name: &str) -> Pid {
        self.active.iter().find(|process| process.name == name).unwrap().pid()
    }

    /// Sends a signal to a process that has not ended.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        self.active.iter().find(|process| process.name == name).unwrap().signal(signal);
    }

    fn names(&self) -> String {
        let name = |process: &Process| format!("{} {:?}", process.name, process.asked);
        self.active.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn end(&mut self, name: &str) -> Ended {
        let at = self.active.iter().position(|process| process.name == name).unwrap();
        let mut process = self.active.swap_remove(at);
        let status = process.child.wait().unwrap();
        let (asked, said) = (process.asked.clone(), std::mem::take(&mut process.said));
        assert!(status.code().is_some() || status.signal() == Some(9), "{asked:?} ended with {status}");
        let code = status.code();
        let outcome = code.map_or(Outcome::Unknown, |code| outcome(&asked.command, code, &said));
        let stderr = fs::read_to_string(self.sandbox.path(&format!("stderr-{name}"))).unwrap();
        assert!(!stderr.contains("panicked"), "{name} {asked:?} panicked: {stderr}");
        let end = match (code, said.iter().find_map(|line| line["error"]["code"].as_str())) {
            (None, _) => "killed".to_owned(),
            (Some(_), Some(error)) => error.to_owned(),
            (Some(code), None) => format!("exit {code}"),
        };
        *self.ends.entry(end).or_default() += 1;
        match &asked.command {
            // A list has one line per run, so it is complete only after the process has ended.
            Command::List if outcome == Outcome::Done => {
                let runs = said.iter().filter_map(|line| line["run_id"].as_str()).map(str::to_owned).collect();
                self.observe(name, What::Listed { runs });
            }
            Command::Export { .. } if outcome == Outcome::Done => {
                let text = fs::read_to_string(self.sandbox.path(&format!("export-{name}.json"))).unwrap();
                let family = StoredRun::from_export(&serde_json::from_str(&text).unwrap()).unwrap();
                family.into_iter().for_each(|run| self.observe(name, What::Found(run)));
            }
            _ => {}
        }
        self.observe(name, What::Ended { outcome });
        Ended { name: name.to_owned(), asked, outcome, code, said, stderr }
    }

    /// Reads the history so far.
    pub(crate) fn history(&self) -> Vec<Observation> {
        let text = fs::read_to_string(self.sandbox.path("history.jsonl")).unwrap();
        let mut history = read(&text).unwrap_or_else(|error| panic!("{error}"));
        name_children(&mut history);
        history
    }

    /// Checks the history. If there are violations, keeps the history under `name` and panics.
    pub(crate) fn check(&self, name: &str) -> Report {
        let history = self.history();
        let report = check(&history);
        let shown: Vec<_> = report.violations.iter().map(|violation| violation.show(&history)).collect();
        if !shown.is_empty() {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{name}.jsonl"));
            fs::write(&kept, write(&history)).unwrap();
            panic!("{}\nthe history is in `{}`", shown.join("\n"), kept.display());
        }
        report
    }
}

/// Replaces the displayed path of each step in a sub-workflow, such as `/main/sub/main/one`, with
/// the sub-workflow's run and the path in that run. Drops steps whose run was never read.
fn name_children(history: &mut Vec<Observation>) {
    let children: BTreeMap<(String, String), String> = history
        .iter()
        .filter_map(|one| match &one.what {
            What::Found(run) => Some((run.parent.clone()?, run.run.clone())),
            _ => None,
        })
        .collect();
    history.retain_mut(|one| match &mut one.what {
        What::StepCompleted { run, step } => match step.rfind("/main/").filter(|at| *at > 0) {
            Some(at) => {
                let Some(child) = children.get(&(run.clone(), step[..at].to_owned())) else { return false };
                (*run, *step) = (child.clone(), step[at..].to_owned());
                true
            }
            None => true,
        },
        _ => true,
    });
}

/// Returns what a client knows about a command that exited on its own.
fn outcome(command: &Command, code: i32, said: &[Value]) -> Outcome {
    let has = |field: &str, values: &[&str]| {
        said.iter().any(|line| line[field].as_str().is_some_and(|value| values.contains(&value)))
    };
    match command {
        Command::Cancel { .. } | Command::Pause { .. } if has("delivery", &["told"]) => Outcome::Accepted,
        // A run whose steps have ended can no longer be cancelled.
        Command::Cancel { .. } if !has("status", &["cancelled", "compensated"]) => Outcome::Failed,
        // There was nothing to pause.
        Command::Pause { .. } => Outcome::Failed,
        _ if code == 0 => Outcome::Done,
        _ => Outcome::Failed,
    }
}

/// Reads the output of a process, and writes the acknowledgements in it to the history.
fn listen(history: &File, name: &str, stdout: ChildStdout, sender: &Sender<Event>) {
    let (mut run, mut kinds) = (String::new(), HashMap::<String, String>::new());
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            // A process killed while printing leaves a partial line.
            continue;
        };
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        match line["event"].as_str() {
            Some("run.started" | "run.resumed" | "run.retried" | "run.forked") => {
                run = text("run_id");
                append(history, name, What::RunStarted { run: run.clone() });
            }
            Some("step.started") => drop(kinds.insert(text("path"), text("type"))),
            Some("step.completed") => {
                let step = text("path");
                if kinds.get(&step).is_some_and(|kind| kind == "shell") {
                    append(history, name, What::StepCompleted { run: run.clone(), step });
                }
            }
            Some("run.completed" | "run.failed" | "run.cancelled" | "run.compensated") => {
                append(history, name, What::RunEnded { run: text("run_id"), status: text("status") });
            }
            _ => {
                for run in line["deleted"].as_array().into_iter().flatten() {
                    append(history, name, What::RunDeleted { run: run.as_str().unwrap().to_owned() });
                }
            }
        }
        if sender.send(Event::Line(name.to_owned(), line)).is_err() {
            return;
        }
    }
    // The receiver is gone if the test has failed.
    let _ = sender.send(Event::Closed(name.to_owned()));
}

/// Appends an observation with one write, so that lines from several processes do not mix.
fn append(mut history: &File, process: &str, what: What) {
    let line = write(&[Observation { process: process.to_owned(), time_us: None, what }]);
    history.write_all(line.as_bytes()).unwrap();
}
