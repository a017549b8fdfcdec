//! Benchmarks of whole `spellflow` processes, from start to exit.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use llmspell_workflows_advanced::{Executor, FolderHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    activity::{Activities, function},
    model::{Definition, Step},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::figures::median;

/// The number of times that each process is started.
const TIMES: usize = 20;

/// The number of finished runs in the large store.
const FINISHED: usize = 100_000;

/// The program that measures peak memory, if it is installed.
const TIME: &str = "/usr/bin/time";

/// Returns the path of the `spellflow` program next to this one; prints a message if it is missing.
pub(crate) fn program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("spellflow")));
    let program = program.filter(|program| program.is_file());
    if program.is_none() {
        eprintln!("skipped: `spellflow` is missing; build it with `cargo build --profile dist`");
    }
    program
}

pub(crate) fn measure() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let ten = folder.path().join("ten.yaml");
    std::fs::write(&ten, flow("ten", 10)).expect("the disk has space");
    let ten = ten.display().to_string();
    println!("| whole process | time | peak memory |\n|---|---|---|");
    let workspace = |name: &str| Workspace { program: program.clone(), folder: folder.path().join(name) };
    workspace("memory").row("ten steps in memory", &["run", "--in-memory", &ten], true);
    workspace("empty").row("ten durable steps, in a new store", &["run", &ten], true);
    let full = workspace("full");
    fill(&full.folder.join(".spellflow"));
    full.row("ten durable steps, in a store with 100,000 finished runs", &["run", &ten], false);
    full.row("the 50 newest of 100,000 finished runs", &["runs", "list", "-o", "json"], false);
    killed(&workspace("killed"));
}

fn flow(name: &str, steps: usize) -> String {
    let steps = (0..steps).map(|n| format!("  - {{id: s{n}, type: set, params: {{n: {n}}}}}\n"));
    format!("name: {name}\nsteps:\n{}", steps.collect::<String>())
}

/// The folder where the benchmark runs `spellflow`.
pub(crate) struct Workspace {
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Workspace {
    fn command(&self, program: &Path) -> Command {
        std::fs::create_dir_all(&self.folder).expect("the disk has space");
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs a command, which must succeed or leave its run waiting.
    pub(crate) fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.command(&self.program);
        let output = command.args(arguments).stdout(Stdio::piped()).output().expect("the program starts");
        assert!(
            matches!(output.status.code(), Some(0 | 5)),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Returns the peak memory of a process in MiB; `None` if it cannot be measured here.
    pub(crate) fn peak_memory(&self, arguments: &[&str]) -> Option<f64> {
        let is_installed = Path::new(TIME).is_file();
        is_installed.then(|| {
            let output = self.command(Path::new(TIME)).args(["-f", "%M"]).arg(&self.program).args(arguments).output();
            let text = String::from_utf8(output.expect("the program starts").stderr).unwrap_or_default();
            let kib = text.lines().last().and_then(|line| line.trim().parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        })
    }

    /// Measures a process, and prints its run time and peak memory.
    fn row(&self, what: &str, arguments: &[&str], is_fresh: bool) {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            self.clear(is_fresh);
            let begin = Instant::now();
            let output = self.command(&self.program).args(arguments).output().expect("the program starts");
            times.push(begin.elapsed());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        self.clear(is_fresh);
        let memory = self.peak_memory(arguments).map_or("unknown".to_owned(), |memory| format!("{memory:.1} MiB"));
        println!("| {what} | {:.1} ms | {memory} |", median(&times).as_secs_f64() * 1e3);
    }

    fn clear(&self, is_fresh: bool) {
        if is_fresh && self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).expect("the folder is writable");
        }
    }
}

/// Fills the home at `path` with finished runs.
fn fill(path: &Path) {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    let steps = (0..10).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let definition = std::sync::Arc::new(Definition::sequence("finished", steps));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let executor = Executor::new(FolderHome::new(path), Engine::builder().activities(activities));
    runtime.expect("the runtime starts").block_on(async {
        for _ in 0..FINISHED / 1_000 {
            let mut runs = JoinSet::new();
            for _ in 0..1_000 {
                let (executor, definition) = (executor.clone(), definition.clone());
                runs.spawn(async move {
                    let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
                    executor.drive(run.expect("the definition is valid")).await.expect("the journal can be written");
                });
            }
            while runs.join_next().await.is_some() {}
        }
    });
}

/// Measures the time from the start of `resume` to the first step, for a run of 1,000 steps that
/// was killed after 500.
///
/// Each step appends a line to a file. The file therefore shows when the first step of the resumed
/// run has run, and how many steps ran again.
fn killed(workspace: &Workspace) {
    let step = |n| {
        let params = format!("{{operation: append, path: log, input: \"{n}\\n\"}}");
        format!("  - {{id: s{n}, tool: file_operations, params: {params}}}\n")
    };
    let steps = format!("name: killed\nsteps:\n{}", (0..1_000).map(step).collect::<String>());
    let log = workspace.folder.join("log");
    let length = || std::fs::metadata(&log).map_or(0, |log| log.len());
    // The size of the lines of 500 steps, each with a line feed: ten with one digit, 90 with two
    // and 400 with three.
    let half = 10 * 2 + 90 * 3 + 400 * 4;
    let (mut times, mut repeated) = (Vec::new(), 0);
    for _ in 0..TIMES {
        workspace.clear(true);
        std::fs::create_dir_all(&workspace.folder).expect("the disk has space");
        std::fs::write(workspace.folder.join("flow.yaml"), &steps).expect("the disk has space");
        let mut run =
            workspace.command(&workspace.program).args(["run", "flow.yaml"]).spawn().expect("the program starts");
        wait_until(|| length() >= half);
        run.kill().expect("the process is running");
        run.wait().expect("the process has ended");
        let before = length();
        let begin = Instant::now();
        let mut resumed =
            workspace.command(&workspace.program).args(["resume", "@last"]).spawn().expect("the program starts");
        wait_until(|| length() > before);
        times.push(begin.elapsed());
        assert!(resumed.wait().expect("the process ends").success(), "the run must complete");
        let lines = std::fs::read_to_string(&log).expect("the steps wrote the file").lines().count();
        repeated += lines - 1_000;
    }
    let time = median(&times).as_secs_f64() * 1e3;
    println!(
        "| from the start of `resume` to the first step of a run killed after 500 of 1,000 steps ({repeated} steps ran \
         again in {TIMES} runs) | {time:.1} ms | |"
    );
}

/// Polls frequently until `is_reached` returns true.
fn wait_until(is_reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_reached() {
        assert!(Instant::now() < deadline, "the program must get on within a minute");
        std::thread::sleep(Duration::from_micros(50));
    }
}
