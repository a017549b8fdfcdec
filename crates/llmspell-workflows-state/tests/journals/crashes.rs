//! Random definitions have the same result on each journal even if their process is killed at a
//! boundary. A boundary is the point before or after an append, a write, a sync or the receipt of
//! an acknowledgement.
//!
//! `RANDOM_DEFINITIONS` sets the number of definitions, and `RANDOM_SEED` selects them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use llmspell_workflows_basic::{Clock, Finished};
use llmspell_workflows_state::{Arrival, End, Epoch, Journal, JournalError, MemoryJournal, Opened, Receipt, Record};
use llmspell_workflows_testing::{crash::SimClock, generate};
use uuid::Uuid;

use crate::{
    child::{child_task, command, die},
    support::{FJALL, OnDisk, SLED, WAL, folder},
};

const SEED_VARIABLE: &str = "SEED_OF_A_CHILD";

const BOUNDARY_VARIABLE: &str = "BOUNDARY_OF_A_CHILD";

/// The names of the files that a process leaves in its folder.
const EFFECTS: &str = "effects";
const ACKNOWLEDGED: &str = "acknowledged";
const OUTCOME: &str = "outcome";
const TIME: &str = "time";

#[test]
fn killed_runs_resume_to_the_same_result_on_the_wal() {
    crash("crashes::killed_runs_resume_to_the_same_result_on_the_wal", &WAL);
}

#[test]
fn killed_runs_resume_to_the_same_result_on_fjall() {
    crash("crashes::killed_runs_resume_to_the_same_result_on_fjall", &FJALL);
}

#[test]
fn killed_runs_resume_to_the_same_result_on_sled() {
    crash("crashes::killed_runs_resume_to_the_same_result_on_sled", &SLED);
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn crash(name: &str, adapter: &OnDisk) {
    if let Some((adapter, folder)) = child_task() {
        return run(&adapter, &folder);
    }
    let (count, seed) = (number("RANDOM_DEFINITIONS", 50), number("RANDOM_SEED", 1));
    println!("{count} definitions from seed {seed}");
    let (mut kills, mut acknowledged) = (0, 0);
    for seed in seed..seed + count {
        let killed = crash_one(name, adapter, seed);
        let killed = killed.unwrap_or_else(|difference| panic!("{name}, seed {seed}: {difference}"));
        kills += u64::from(killed.is_some());
        acknowledged += killed.unwrap_or_default();
    }
    println!("{name}: {kills} kills, after which {acknowledged} steps were not performed again");
    assert!(kills >= count * 4 / 5, "only {kills} kills");
    assert!(acknowledged as u64 >= count, "only {acknowledged} steps were acknowledged before a kill");
}

/// Runs the definition in memory, then in a process that is killed, and then in a process
/// that completes it. Returns the number of steps that were acknowledged before the kill, or
/// `None` if the run ended first.
fn crash_one(name: &str, adapter: &OnDisk, seed: u64) -> Result<Option<usize>, String> {
    let test = generate::crash_test(seed, |_| {});
    let journal = Arc::new(BoundaryJournal::new(Arc::new(MemoryJournal::new()), None, None));
    let expected = test.run_on(&(journal.clone() as Arc<dyn Journal>)).unwrap();
    let boundaries = journal.passed.load(Ordering::Relaxed);
    // An arbitrary boundary, which differs between adapters.
    let boundary = (seed * 7_919 + adapter.name.len() as u64 * 31) % boundaries;

    let folder = folder();
    let start = |boundary: Option<u64>| -> Output {
        let mut command = command(name, adapter, folder.path());
        command.env(SEED_VARIABLE, seed.to_string());
        if let Some(boundary) = boundary {
            command.env(BOUNDARY_VARIABLE, boundary.to_string());
        }
        command.output().unwrap()
    };
    let killed = start(Some(boundary));
    // With concurrent steps, the process may pass fewer boundaries than the run in memory.
    if killed.status.signal() != Some(9) && !killed.status.success() {
        return Err(format!("killed at boundary {boundary}: {killed:?}"));
    }
    let acknowledged: BTreeSet<_> = lines(folder.path(), ACKNOWLEDGED).into_iter().collect();
    let before = effects(folder.path());
    let resumed = start(None);
    if !resumed.status.success() {
        return Err(format!("resumed after boundary {boundary}: {resumed:?}"));
    }
    let after = effects(folder.path());
    expect_same("outcome", &fs::read_to_string(folder.path().join(OUTCOME)).unwrap(), &outcome(&expected))?;
    expect_same("set of effects", &after.keys().collect::<Vec<_>>(), &test.performed().keys().collect::<Vec<_>>())?;
    for path in &acknowledged {
        let of = |effects: &BTreeMap<String, u32>| -> Vec<_> {
            let prefix = format!("{path}#");
            effects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(key, n)| (key.clone(), *n)).collect()
        };
        expect_same(&format!("effects of {path}, which was acknowledged before the kill"), &of(&after), &of(&before))?;
    }
    Ok((!killed.status.success()).then_some(acknowledged.len()))
}

fn expect_same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("the {what} is {found:?}, expected {expected:?}")) }
}

fn outcome(finished: &Finished) -> String {
    let Finished { status, output, error, state_changes, .. } = finished;
    format!("{status:?} {output:?} {error:?} {state_changes:?}")
}

/// Runs the definition in the process that may be killed.
fn run(adapter: &OnDisk, folder: &Path) {
    let (boundary, effects) = (env::var(BOUNDARY_VARIABLE).ok().map(|at| at.parse().unwrap()), folder.join(EFFECTS));
    let test = generate::crash_test(number(SEED_VARIABLE, 0), move |context| {
        append_line(&effects, &format!("{}#{}", context.path(), context.attempt()));
    });
    // The clock continues from the time at which the previous process ended.
    let time = fs::read_to_string(folder.join(TIME)).ok();
    let clock = time.map_or_else(SimClock::default, |time| SimClock::new(time.parse().unwrap()));
    let kill = boundary.map(|at| KillPoint { at, clock: clock.clone(), folder: folder.to_owned() });
    let acknowledged = Some(folder.join(ACKNOWLEDGED));
    let journal: Arc<dyn Journal> =
        Arc::new(BoundaryJournal::new(adapter.open_in(folder).unwrap(), kill, acknowledged));
    let finished = test.run_at(&journal, &clock).unwrap();
    fs::write(folder.join(OUTCOME), outcome(&finished)).unwrap();
}

/// Appends a line that survives this process.
fn append_line(path: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn effects(folder: &Path) -> BTreeMap<String, u32> {
    let mut effects = BTreeMap::new();
    for line in lines(folder, EFFECTS) {
        *effects.entry(line).or_default() += 1;
    }
    effects
}

/// The boundary at which a process is killed, and the file to which it writes the time.
#[derive(Debug)]
struct KillPoint {
    at: u64,
    clock: SimClock,
    folder: PathBuf,
}

/// A journal that counts boundaries, logs its acknowledgements, and kills its process at a
/// given boundary.
#[derive(Debug)]
struct BoundaryJournal {
    below: Arc<dyn Journal>,
    kill: Option<KillPoint>,
    acknowledged: Option<PathBuf>,
    passed: AtomicU64,
    pending: Mutex<BTreeMap<Receipt, String>>,
}

impl BoundaryJournal {
    fn new(below: Arc<dyn Journal>, kill: Option<KillPoint>, acknowledged: Option<PathBuf>) -> Self {
        Self { below, kill, acknowledged, passed: AtomicU64::new(0), pending: Mutex::default() }
    }

    fn pass(&self) {
        let number = self.passed.fetch_add(1, Ordering::Relaxed);
        if let Some(kill) = self.kill.as_ref().filter(|kill| kill.at == number) {
            fs::write(kill.folder.join(TIME), kill.clock.now().to_string()).unwrap();
            die();
        }
    }
}

#[async_trait]
impl Journal for BoundaryJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.below.open(run).await
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        self.pass();
        let receipt = self.below.append(run, epoch, record)?;
        if let Record::Ended { path, end: End::Completed { .. }, .. } = record {
            self.pending.lock().unwrap().insert(receipt, path.clone());
        }
        self.pass();
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.pass();
        self.below.write(receipt).await?;
        self.pass();
        Ok(())
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.pass();
        self.below.sync(receipt).await?;
        self.pass();
        let path = self.pending.lock().unwrap().remove(&receipt);
        if let (Some(path), Some(file)) = (path, &self.acknowledged) {
            append_line(file, &path);
        }
        self.pass();
        Ok(())
    }

    fn runs(&self) -> Vec<Uuid> {
        self.below.runs()
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.below.records(run).await
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        self.below.ended().await
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        self.pass();
        let epochs = self.below.arrive(arrivals).await?;
        self.pass();
        Ok(epochs)
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        self.below.forget(runs).await
    }
}
