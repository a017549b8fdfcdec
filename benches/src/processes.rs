//! Whole processes of `spellflow`, from their start to their end.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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

/// How often each process is started.
const TIMES: usize = 20;

/// How many runs have ended in the large store.
const FINISHED: usize = 100_000;

/// What the system tells of memory, where it is installed.
const TIME: &str = "/usr/bin/time";

pub(crate) fn measure() {
    let program = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("spellflow")));
    let Some(program) = program.filter(|program| program.is_file()) else {
        eprintln!("skipped: build `spellflow` first, with `cargo build --profile dist`");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let ten = folder.path().join("ten.yaml");
    std::fs::write(&ten, flow("ten", 10)).expect("there is room");
    let ten = ten.display().to_string();
    println!("| whole process | time | peak memory |\n|---|---|---|");
    let place = |name: &str| Place { program: program.clone(), folder: folder.path().join(name) };
    place("memory").row("ten steps in memory", &["run", "--in-memory", &ten], true);
    place("empty").row("ten durable steps, in a store of their own", &["run", &ten], true);
    let full = place("full");
    fill(&full.folder.join(".spellflow"));
    full.row("ten durable steps, beside 100,000 finished runs", &["run", &ten], false);
    full.row("the 50 newest of 100,000 finished runs", &["runs", "list", "-o", "json"], false);
    killed(&place("killed"));
}

fn flow(name: &str, steps: usize) -> String {
    let steps = (0..steps).map(|n| format!("  - {{id: s{n}, type: set, params: {{n: {n}}}}}\n"));
    format!("name: {name}\nsteps:\n{}", steps.collect::<String>())
}

/// A folder in which `spellflow` runs.
struct Place {
    program: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn command(&self, program: &Path) -> Command {
        std::fs::create_dir_all(&self.folder).expect("there is room");
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// The time of a process, and its peak memory in KiB as the system says.
    fn row(&self, what: &str, arguments: &[&str], is_fresh: bool) {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            self.clear(is_fresh);
            let begin = Instant::now();
            let ended = self.command(&self.program).args(arguments).output().expect("it starts");
            times.push(begin.elapsed());
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        self.clear(is_fresh);
        let memory = Path::new(TIME).is_file().then(|| {
            let told = self.command(Path::new(TIME)).args(["-f", "%M"]).arg(&self.program).args(arguments).output();
            let told = String::from_utf8(told.expect("it starts").stderr).unwrap_or_default();
            told.lines().last().and_then(|line| line.trim().parse::<f64>().ok()).unwrap_or_default()
        });
        let memory = memory.map_or("not known here".to_owned(), |kib| format!("{:.1} MiB", kib / 1024.0));
        println!("| {what} | {:.1} ms | {memory} |", median(&times).as_secs_f64() * 1e3);
    }

    fn clear(&self, is_fresh: bool) {
        if is_fresh && self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).expect("it is ours");
        }
    }
}

/// Puts many runs that have ended into the home at `path`.
fn fill(path: &Path) {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    let steps = (0..10).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let definition = std::sync::Arc::new(Definition::sequence("finished", steps));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let executor = Executor::new(FolderHome::new(path), Engine::builder().activities(activities));
    runtime.expect("two threads").block_on(async {
        for _ in 0..FINISHED / 1_000 {
            let mut runs = JoinSet::new();
            for _ in 0..1_000 {
                let (executor, definition) = (executor.clone(), definition.clone());
                runs.spawn(async move {
                    let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
                    executor.drive(run.expect("it is valid")).await.expect("the journal can be written");
                });
            }
            while runs.join_next().await.is_some() {}
        }
    });
}

/// A run of 1,000 steps that is killed in its 500th: how long after its start another process begins it again.
fn killed(place: &Place) {
    let cut = "test -e once || { touch once; kill -9 $PPID; }; date +%s%N > began";
    let steps = flow("killed", 1_000).replace(
        "  - {id: s499, type: set, params: {n: 499}}\n",
        &format!("  - {{id: s499, type: shell, command: '{cut}'}}\n"),
    );
    let mut times = Vec::new();
    for _ in 0..TIMES {
        place.clear(true);
        std::fs::create_dir_all(&place.folder).expect("there is room");
        std::fs::write(place.folder.join("flow.yaml"), &steps).expect("there is room");
        let killed = place.command(&place.program).args(["run", "flow.yaml"]).output().expect("it starts");
        assert!(!killed.status.success(), "it was to be killed");
        let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let resumed = place.command(&place.program).args(["resume", "@last"]).output().expect("it starts");
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
        let began = std::fs::read_to_string(place.folder.join("began")).expect("the step says so");
        let began = Duration::from_nanos(began.trim().parse().expect("nanoseconds"));
        times.push(began.checked_sub(start).unwrap_or_default());
    }
    let time = median(&times).as_secs_f64() * 1e3;
    println!(
        "| from the start of `resume` to the first step, of a run killed in its 500th of 1,000 | {time:.1} ms | |"
    );
}
