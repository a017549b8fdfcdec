//! Benchmarks of commands in a store that also contains runs with large outputs; the commands do
//! not show these outputs.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use llmspell_workflows_advanced::{Executor, FolderHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    activity::{Activities, function},
    model::{Definition, Step, StepKind, WaitForEvent},
};
use serde_json::json;

use crate::{
    figures::median,
    processes::{Workspace, program},
};

/// The size of a large output, in bytes.
const OUTPUT_BYTES: usize = 10_000_000;

/// The number of waiting runs, and also of finished runs. Each run has one large output.
const WAITING: usize = 100;
const FINISHED: usize = 30;

/// The number of times that each command is started in each store.
const TIMES: usize = 15;

const SMALL: &str =
    "name: small\nsteps:\n  - {id: a, type: set, params: {n: 1}}\n  - {id: go, type: wait_for_event, event: go}\n";

const SHORT: &str =
    "name: short\nsteps:\n  - {id: a, type: set, params: {n: 1}}\n  - {id: b, type: set, params: {n: 2}}\n";

/// Compares the same commands in three stores: an empty store, a store with small outputs, and a
/// store with 1 GB of outputs of waiting runs and 300 MB of outputs of finished runs.
pub(crate) fn measure() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let workspace = |name: &str| Workspace { program: program.clone(), folder: folder.path().join(name) };
    let workspaces = ["empty", "small", "large"].map(workspace);
    fill(&workspaces[1].folder.join(".spellflow"), 1);
    fill(&workspaces[2].folder.join(".spellflow"), OUTPUT_BYTES);
    let ids = workspaces.each_ref().map(begin_small);
    println!("| command | empty store | small outputs | 1.3 GB | time | memory |\n|---|---|---|---|---|---|");
    let commands: [&[&str]; 13] = [
        &["runs", "list", "-o", "json"],
        &["runs", "list", "--status", "waiting"],
        &["runs", "show", "RUN", "-o", "json"],
        &["runs", "events", "RUN"],
        &["runs", "state", "RUN"],
        &["runs", "export", "RUN"],
        &["runs", "prune", "--dry-run"],
        &["store", "stats"],
        &["run", "short.yaml"],
        &["run", "small.yaml"],
        &["rerun", "RUN"],
        &["fork", "RUN", "--from", "a"],
        &["signal", "RUN", "go"],
    ];
    for command in commands {
        let [empty, small, large] = each(&workspaces, &ids, command);
        let shown = |(time, memory): (Duration, f64)| format!("{:.1} ms, {memory:.1} MiB", time.as_secs_f64() * 1e3);
        println!(
            "| `{}` | {} | {} | {} | {:.2} × | {:.2} × |",
            command.join(" "),
            shown(empty),
            shown(small),
            shown(large),
            large.0.as_secs_f64() / small.0.as_secs_f64(),
            large.1 / small.1,
        );
    }
}

/// Starts a small run that waits; returns its id.
fn begin_small(workspace: &Workspace) -> String {
    std::fs::create_dir_all(&workspace.folder).expect("the disk has space");
    for (name, text) in [("small.yaml", SMALL), ("short.yaml", SHORT)] {
        std::fs::write(workspace.folder.join(name), text).expect("the disk has space");
    }
    let output = workspace.run(&["run", "small.yaml", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    report["run_id"].as_str().expect("the report names the run").to_owned()
}

/// Runs `command` in each store in turn; returns the median time and the peak memory in MiB for
/// each store.
fn each(workspaces: &[Workspace; 3], ids: &[String; 3], command: &[&str]) -> [(Duration, f64); 3] {
    let arguments = |at: usize| -> Vec<&str> {
        command.iter().map(|word| if *word == "RUN" { ids[at].as_str() } else { word }).collect()
    };
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TIMES {
        for (at, workspace) in workspaces.iter().enumerate() {
            let begin = Instant::now();
            workspace.run(&arguments(at));
            times[at].push(begin.elapsed());
        }
    }
    let memory = |at: usize| workspaces[at].peak_memory(&arguments(at)).unwrap_or_default();
    [0, 1, 2].map(|at| (median(&times[at]), memory(at)))
}

/// Fills the home at `path` with runs whose outputs are `bytes` bytes long.
fn fill(path: &Path, bytes: usize) {
    let mut activities = Activities::new();
    activities.register("function", "large", function(move |_| async move { Ok(json!({"text": "x".repeat(bytes)})) }));
    let large = || Step::function("large", "large", json!({}));
    let waits =
        Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: "go".to_owned(), ..Default::default() }));
    let waiting = Arc::new(Definition::sequence("waiting", [large(), waits]));
    let finished = Arc::new(Definition::sequence("finished", [large()]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let executor = Executor::new(FolderHome::new(path), Engine::builder().activities(activities));
    runtime.expect("the runtime starts").block_on(async {
        let each = std::iter::repeat_n(waiting, WAITING).chain(std::iter::repeat_n(finished, FINISHED));
        for definition in each {
            let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
            executor.drive(run.expect("the definition is valid")).await.expect("the journal can be written");
        }
        executor.wait_until_archived().await;
    });
}
