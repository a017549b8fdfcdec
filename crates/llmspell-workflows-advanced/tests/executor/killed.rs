//! Parked runs of a killed process.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use llmspell_workflows_advanced::{
    DurableEnd, Executor, FolderHome, Home, KnownRun, Message, Parking, RunHandle, RunQuery, StartOptions,
};
use llmspell_workflows_basic::{
    Engine, RunStatus, WorkflowInput,
    activity::{Activities, ActivityContext, function},
    model::*,
};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;
use tokio::time::timeout;

use crate::parked::until_parked;

/// The environment variable that passes the folder to the child process, which runs this test again and is killed.
const FOLDER: &str = "HOME_OF_A_CHILD";

const NAME: &str = "killed::parked_runs_of_a_killed_process_wake_in_another_process";

/// The name of the workflow that waits for a signal.
const SIGNALLED: &str = "signalled";

/// The line that the process prints once all its runs are parked.
const PARKED: &str = "all are parked";

/// The maximum time that the test waits, which is long enough for many runs.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// The maximum number of runs that a query returns.
const RUNS_MAX: usize = 10_000;

const HOUR: Duration = Duration::from_secs(3600);

/// Returns an executor whose steps each append a line to a file, and the executor's clock.
fn executor(folder: &Path) -> (Executor, SimClock) {
    let effects = folder.join("effects");
    let note = function(move |context: ActivityContext| {
        let line = format!("{} {}\n", context.path(), context.input()["n"]);
        let mut file = OpenOptions::new().create(true).append(true).open(&effects).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        async move { Ok(json!(null)) }
    });
    let mut activities = Activities::new();
    activities.register("function", "note", note);
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let engine = Engine::builder().activities(activities).clock(clock.clone());
    (Executor::new(FolderHome::new(folder.join("home")), engine).parking(Parking::After(Duration::ZERO)), clock)
}

/// Returns a definition with a wait between two steps that have effects.
fn definition(name: &str, wait: StepKind) -> Arc<Definition> {
    let note = |id: &str| Step::function(id, "note", json!({"n": "{{ n }}"}));
    Arc::new(Definition::sequence(name, [note("before"), Step::new("wait", wait), note("after")]))
}

/// Parks all runs and then waits; called in the process to be killed.
async fn park(folder: &Path, runs: usize) {
    let (executor, _) = executor(folder);
    let open = WaitForEvent { event: "open".into(), ..Default::default() };
    let definitions =
        [definition(SIGNALLED, StepKind::WaitForEvent(open)), definition("timed", StepKind::Sleep(HOUR.into()))];
    for number in 0..runs {
        let input = WorkflowInput::new(json!({"n": number}));
        let run = executor.start(definitions[number % 2].clone(), input, StartOptions::default()).await.unwrap();
        drop(executor.spawn(run));
    }
    until_parked(&executor, runs).await;
    println!("\n{PARKED}");
    std::future::pending().await
}

/// Starts a process and kills it once all its runs are parked.
fn parked_and_killed(folder: &Path) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([NAME, "--exact", "--nocapture"]).env(FOLDER, folder);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, is_parked) = channel();
    thread::spawn(move || sender.send(lines.map_while(Result::ok).any(|line| line == PARKED)));
    let is_parked = is_parked.recv_timeout(TIMEOUT_MAX);
    child.kill().unwrap();
    assert_eq!((is_parked, child.wait().unwrap().signal()), (Ok(true), Some(9)));
}

async fn assert_finishes(handle: RunHandle) {
    let end = timeout(TIMEOUT_MAX, handle.wait()).await.expect("timed out").unwrap();
    let DurableEnd::Finished(finished) = end else { panic!("the run did not finish: {end:?}") };
    assert_eq!(finished.status, RunStatus::Completed);
}

fn effects(folder: &Path) -> BTreeMap<String, usize> {
    let mut effects = BTreeMap::new();
    for line in fs::read_to_string(folder.join("effects")).unwrap().lines() {
        *effects.entry(line.to_owned()).or_default() += 1;
    }
    effects
}

/// Set `RUNS` to change the number of runs, up to 10,000.
#[tokio::test(flavor = "multi_thread")]
async fn parked_runs_of_a_killed_process_wake_in_another_process() {
    let runs: usize = env::var("RUNS").map_or(100, |text| text.parse().unwrap());
    if let Some(folder) = env::var_os(FOLDER) {
        return park(&PathBuf::from(folder), runs).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    parked_and_killed(folder);
    let once = |step: &str| (0..runs).map(move |n| (format!("/main/{step} {n}"), 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(effects(folder), once("before"));

    let home: Arc<dyn Home> = FolderHome::new(folder.join("home")).into();
    let known = home.runs(&RunQuery { limit: RUNS_MAX, ..RunQuery::default() }).await.unwrap();
    assert_eq!(known.len(), runs);
    // Parking is recorded without a sync, so the process may have been killed before the record was
    // written.
    let is_left = |run: &KnownRun| matches!(run.status(), RunStatus::Waiting | RunStatus::Interrupted);
    assert!(known.iter().all(|run| is_left(run) && run.holder.is_none()));
    let (signalled, timed): (Vec<_>, Vec<_>) = known.iter().partition(|run| run.summary.workflow == SIGNALLED);
    assert_eq!(signalled.len(), runs.div_ceil(2));

    let (executor, clock) = executor(folder);
    let take_over = async |runs: &[&KnownRun]| {
        let mut driven = Vec::new();
        for run in runs {
            driven.push(executor.spawn(executor.resume(run).await.unwrap()));
        }
        driven
    };
    let (by_signal, by_time) = (take_over(&signalled).await, take_over(&timed).await);
    until_parked(&executor, runs).await;
    assert_eq!(effects(folder), once("before"), "no run continues before its wait is over");
    for (run, driven) in signalled.iter().zip(by_signal) {
        home.post(run, &Message::Signal { name: "open".into(), payload: json!(null) }).await.unwrap();
        assert_finishes(driven).await;
    }
    let after_signals = effects(folder);
    assert_eq!(after_signals.len(), runs + signalled.len(), "the runs that wait for a time have not woken yet");
    clock.advance(HOUR);
    for driven in by_time {
        assert_finishes(driven).await;
    }
    assert_eq!(effects(folder), once("before").into_iter().chain(once("after")).collect());
    let query = RunQuery { statuses: vec![RunStatus::Completed], limit: RUNS_MAX, ..RunQuery::default() };
    assert_eq!(home.runs(&query).await.unwrap().len(), runs);
}
