//! Clients: processes of the program, what they say, and the history that they write.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use llmspell_workflows_testing::history::{Asked, Command, Observation, Outcome, StoredRun, What, write};
use serde_json::Value;

use crate::support::{Sandbox, TIMEOUT};

/// The clients of one sequence.
pub(super) struct Clients {
    pub(super) sandbox: Sandbox,
    history: Arc<File>,
    active: Vec<Process>,
    started: usize,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// How often each exit code or error code was seen.
    pub(super) ends: BTreeMap<String, usize>,
}

/// A process that was started and has not been waited for.
struct Process {
    name: String,
    child: Child,
    asked: Asked,
    kill: Option<Kill>,
    lines: usize,
    said: Vec<Value>,
    started: Instant,
}

/// When to kill a process: this long after it has printed so many lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    pub(super) lines: usize,
    pub(super) delay: Duration,
}

/// What a process did.
enum Event {
    Line(String, Value),
    /// It closed its standard output.
    Closed(String),
}

/// How a command ended, and what it said.
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) asked: Asked,
    pub(super) outcome: Outcome,
    /// `None` if the process was killed.
    pub(super) code: Option<i32>,
    pub(super) said: Vec<Value>,
}

impl Clients {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        let history = OpenOptions::new().create(true).append(true).open(sandbox.path("history.jsonl")).unwrap();
        let (sender, events) = channel();
        let (active, ends) = (Vec::new(), BTreeMap::new());
        Self { sandbox, history: Arc::new(history), active, started: 0, sender, events, ends }
    }

    pub(super) fn observe(&self, process: &str, what: What) {
        append(&self.history, process, what);
    }

    /// Returns the number of processes that are running.
    pub(super) fn count(&self) -> usize {
        self.active.len()
    }

    /// Returns the name of the next process.
    pub(super) fn next_name(&self) -> String {
        format!("p{}", self.started + 1)
    }

    /// Starts a command, to be killed at some moment if one is given.
    pub(super) fn start(&mut self, asked: Asked, arguments: &[&str], kill: Option<Kill>) {
        let name = self.next_name();
        self.started += 1;
        self.observe(&name, What::Asked(asked.clone()));
        let mut command = self.sandbox.command(arguments);
        command.args(["-o", "jsonl", "--store", &asked.store]).env("HISTORY_PROCESS", &name);
        let stderr = File::create(self.sandbox.path(&format!("stderr-{name}"))).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (history, sender, of) = (self.history.clone(), self.sender.clone(), name.clone());
        thread::spawn(move || listen(&history, &of, stdout, &sender));
        let (lines, said, started) = (0, Vec::new(), Instant::now());
        self.active.push(Process { name, child, asked, kill, lines, said, started });
    }

    /// Runs a command to its end, while no other is running.
    pub(super) fn run(&mut self, asked: Asked, arguments: &[&str]) -> Ended {
        assert!(self.active.is_empty(), "another process is running");
        self.start(asked, arguments, None);
        loop {
            if let Some(ended) = self.wait() {
                return ended;
            }
        }
    }

    /// Waits until something happens, and kills the processes whose moment has come. Returns the command that ended.
    pub(super) fn wait(&mut self) -> Option<Ended> {
        let due = |process: &Process| {
            let kill = process.kill.filter(|kill| process.lines >= kill.lines)?;
            Some(process.started + kill.delay)
        };
        let first = self.active.iter().filter_map(due).min();
        let wait = first.map_or(TIMEOUT, |at| at.saturating_duration_since(Instant::now()));
        match self.events.recv_timeout(wait) {
            Ok(Event::Line(name, line)) => {
                let process = self.active.iter_mut().find(|process| process.name == name).unwrap();
                process.lines += 1;
                process.said.push(line);
                // The delay counts from the line that it was waiting for.
                if process.kill.is_some_and(|kill| kill.lines == process.lines) {
                    process.started = Instant::now();
                }
                None
            }
            Ok(Event::Closed(name)) => Some(self.end(&name)),
            Err(RecvTimeoutError::Timeout) => {
                let at = first.unwrap_or_else(|| panic!("{} do not end", self.names()));
                for process in self.active.iter_mut().filter(|process| due(process).is_some_and(|due| due <= at)) {
                    process.kill = None;
                    process.child.kill().unwrap();
                }
                None
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("this has a sender of its own"),
        }
    }

    fn names(&self) -> String {
        let name = |process: &Process| format!("{} {:?}", process.name, process.asked);
        self.active.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn end(&mut self, name: &str) -> Ended {
        let at = self.active.iter().position(|process| process.name == name).unwrap();
        let Process { name, mut child, asked, said, .. } = self.active.swap_remove(at);
        let status = child.wait().unwrap();
        assert!(status.code().is_some() || status.signal() == Some(9), "{asked:?} ended with {status}");
        let code = status.code();
        let outcome = code.map_or(Outcome::Unknown, |code| outcome(&asked.command, code, &said));
        self.check_end(&name, &asked, code, &said);
        match &asked.command {
            Command::Export { .. } if outcome == Outcome::Done => {
                let text = fs::read_to_string(self.sandbox.path(&format!("export-{name}.json"))).unwrap();
                let family = StoredRun::from_export(&serde_json::from_str(&text).unwrap()).unwrap();
                family.into_iter().for_each(|run| self.observe(&name, What::Found(run)));
            }
            _ => {}
        }
        self.observe(&name, What::Ended { outcome });
        Ended { name, asked, outcome, code, said }
    }

    /// Counts how commands end, and fails if one ends in a way that no command should.
    fn check_end(&mut self, name: &str, asked: &Asked, code: Option<i32>, said: &[Value]) {
        let error = said.iter().find_map(|line| line["error"]["code"].as_str());
        let stderr = fs::read_to_string(self.sandbox.path(&format!("stderr-{name}"))).unwrap();
        let is_known = code.is_none_or(|code| [0, 1, 4, 5, 8, 130].contains(&code));
        let is_damage = ["journal_failed", "store_failed", "damaged"].iter().any(|code| error == Some(code));
        assert!(
            is_known && !is_damage && !stderr.contains("panicked"),
            "{name} {asked:?} ended with {code:?} {error:?}: {stderr}"
        );
        let end = match (code, error) {
            (None, _) => "killed".to_owned(),
            (Some(_), Some(error)) => error.to_owned(),
            (Some(code), None) => format!("exit {code}"),
        };
        *self.ends.entry(end).or_default() += 1;
    }
}

/// Returns what a client knows about a command that exited by itself.
fn outcome(command: &Command, code: i32, said: &[Value]) -> Outcome {
    let has = |field: &str, values: &[&str]| {
        said.iter().any(|line| line[field].as_str().is_some_and(|value| values.contains(&value)))
    };
    match command {
        Command::Cancel { .. } | Command::Pause { .. } if has("delivery", &["told"]) => Outcome::Accepted,
        // A run whose steps have ended is not cancelled anymore.
        Command::Cancel { .. } if !has("status", &["cancelled", "compensated"]) => Outcome::Failed,
        // There was nothing to pause.
        Command::Pause { .. } => Outcome::Failed,
        _ if code == 0 => Outcome::Done,
        _ => Outcome::Failed,
    }
}

/// Reads what a process prints, and writes what it acknowledges to the history.
fn listen(history: &File, name: &str, stdout: ChildStdout, sender: &Sender<Event>) {
    let (mut run, mut kinds) = (String::new(), HashMap::<String, String>::new());
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            // A process that is killed while it prints leaves a part of a line.
            continue;
        };
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        match line["event"].as_str() {
            Some("run_started") => {
                run = text("run_id");
                append(history, name, What::RunStarted { run: run.clone() });
            }
            Some("step_started") => drop(kinds.insert(text("path"), text("type"))),
            Some("step_ended") if text("status") == "completed" => {
                let step = text("path");
                if kinds.get(&step).is_some_and(|kind| kind == "shell") {
                    append(history, name, What::StepCompleted { run: run.clone(), step });
                }
            }
            Some("run_ended") => {
                append(history, name, What::RunEnded { run: text("run_id"), status: text("status") });
            }
            _ => {
                for run in line["deleted"].as_array().into_iter().flatten() {
                    append(history, name, What::RunDeleted { run: run.as_str().unwrap().to_owned() });
                }
                if let Some(runs) = line.as_array() {
                    let runs = runs.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
                    append(history, name, What::Listed { runs });
                }
            }
        }
        if sender.send(Event::Line(name.to_owned(), line)).is_err() {
            return;
        }
    }
    // Nobody listens once the test has failed.
    let _ = sender.send(Event::Closed(name.to_owned()));
}

/// Appends an observation with one write, so that lines of several processes do not mix.
fn append(mut history: &File, process: &str, what: What) {
    let line = write(&[Observation { process: process.to_owned(), time_us: None, what }]);
    history.write_all(line.as_bytes()).unwrap();
}
