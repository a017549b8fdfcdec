//! A slow disk delays only the operations that wait for it.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    BackupReport, Claim, Contact, DurableEnd, Executor, ExecutorError, Holder, Home, HomeUsage, JournalId,
    JournalSummaries, Lease, MemoryHome, StartOptions, Upkeep,
};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    activity::{Activities, function},
    engine::{LimitName, SharedPermit},
    model::*,
};
use llmspell_workflows_state::{
    JournalContents, JournaledRun, LogOptions, WalJournal,
    disk::{Disk, DiskFile, DiskLock, FileVersion, SystemDisk, blocking},
    store::{DefinitionStore, Stores},
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

/// The duration of a sync, and the maximum additional delay of a timer during a sync compared with
/// a sleeping thread.
const SYNC: Duration = Duration::from_millis(200);
const LATE_MAX: Duration = Duration::from_millis(20);

/// Sleeps repeatedly until `is_done`, and returns the longest delay with which this thread woke.
fn lateness(is_done: &AtomicBool) -> Duration {
    let mut latest = Duration::ZERO;
    while !is_done.load(Ordering::SeqCst) {
        let due = Instant::now() + Duration::from_millis(2);
        thread::sleep(Duration::from_millis(2));
        latest = latest.max(due.elapsed());
    }
    latest
}

/// The system's disk, but with slow syncs, reads and changes to folders.
#[derive(Debug)]
struct SlowDisk;

struct SlowFile(Box<dyn DiskFile>);

impl Disk for SlowDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        thread::sleep(SYNC);
        SystemDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(path)
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
        thread::sleep(SYNC);
        Ok(Box::new(SlowFile(SystemDisk.create(path, length)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SlowFile(SystemDisk.open(path)?)))
    }

    fn version(&self, path: &Path) -> io::Result<FileVersion> {
        SystemDisk.version(path)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        thread::sleep(SYNC);
        SystemDisk.put(path, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        thread::sleep(SYNC);
        SystemDisk.remove(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        SystemDisk.lock(path)
    }
}

impl DiskFile for SlowFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        thread::sleep(SYNC);
        self.0.sync()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        thread::sleep(SYNC / 4);
        self.0.read_at(offset, length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

/// A home in memory whose journal is on the slow disk. The journal's segments are small, so new segments are often
/// created.
#[derive(Debug)]
struct SlowHome {
    folder: TempDir,
    beside: MemoryHome,
}

impl SlowHome {
    async fn open(&self) -> Result<Lease, ExecutorError> {
        let path = self.folder.path().to_owned();
        let options = LogOptions { segment_min: 2 << 10, segment_max: 4 << 10, prepare_ahead: true };
        let journal = blocking(move || WalJournal::open_on(Arc::new(SlowDisk), path, options)).await?;
        Ok(Lease { id: JournalId::new("slow"), journal: Arc::new(journal), ended: Vec::new() })
    }
}

#[async_trait]
impl Home for SlowHome {
    fn location(&self) -> String {
        "a slow disk".to_owned()
    }

    fn definitions(&self) -> &dyn DefinitionStore {
        self.beside.definitions()
    }

    async fn stores(&self) -> Result<&Stores, ExecutorError> {
        self.beside.stores().await
    }

    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        self.beside.existing_stores().await
    }

    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        Ok(vec![JournalId::new("slow")])
    }

    async fn holder(&self, _journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        Ok(None)
    }

    async fn summaries(&self, _journal: &JournalId) -> Result<JournalSummaries, ExecutorError> {
        Ok(JournalSummaries::default())
    }

    async fn run_in(&self, _journal: &JournalId, _run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        Ok(None)
    }

    async fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError> {
        self.beside.claim(run).await
    }

    async fn permit(&self, _: LimitName<'_>, _: u32) -> Result<Option<SharedPermit>, ExecutorError> {
        Ok(None)
    }

    async fn lease(&self, _journal: &JournalId, _contact: Contact) -> Result<Lease, ExecutorError> {
        self.open().await
    }

    async fn announce(&self, _lease: &Lease, _contact: Contact) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn lease_for_new_runs(&self, _contact: Contact) -> Result<Lease, ExecutorError> {
        self.open().await
    }

    async fn notify(&self, _journal: &JournalId, _run: Uuid) -> bool {
        false
    }
}

#[async_trait]
impl Upkeep for SlowHome {
    async fn check(&self, _journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        Ok(JournalContents::default())
    }

    async fn remove_if_empty(&self, _lease: Lease) -> Result<bool, ExecutorError> {
        Ok(false)
    }

    async fn set_aside(&self, lease: Lease) -> Result<std::path::PathBuf, ExecutorError> {
        self.beside.set_aside(lease).await
    }

    async fn set_stores_aside(&self) -> Result<std::path::PathBuf, ExecutorError> {
        self.beside.set_stores_aside().await
    }

    async fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        Ok(HomeUsage::default())
    }

    async fn back_up(&self, to: &Path) -> Result<BackupReport, ExecutorError> {
        self.beside.back_up(to).await
    }
}

#[test]
fn slow_disk_does_not_delay_timers_on_a_single_threaded_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let machine = {
        let is_done = is_done.clone();
        thread::spawn(move || lateness(&is_done))
    };
    let latest = runtime.block_on(async {
        let home = SlowHome { folder: tempfile::tempdir().unwrap(), beside: MemoryHome::new() };
        let mut activities = Activities::new();
        activities.register("function", "echo", function(|call| async move { Ok(call.input().clone()) }));
        let home: Arc<dyn Home> = Arc::new(home);
        let executor = Executor::new(home, Engine::builder().activities(activities));
        let steps = (0..4).map(|number| Step::function(format!("s{number}"), "echo", json!("x".repeat(900))));
        let definition = Definition::sequence("slow", steps);
        let run = async {
            let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await.unwrap();
            let journal = run.id();
            let began = Instant::now();
            let DurableEnd::Finished(end) = executor.drive(run).await.unwrap() else {
                panic!("the run did not finish")
            };
            assert_eq!(end.error, None);
            assert!(began.elapsed() > SYNC * 4, "each step waits for the disk");
            executor.checkpoint(journal, "end").await.unwrap();
            // Closing the journal blocks on the disk.
            blocking(move || drop(executor)).await;
        };
        let mut latest = Duration::ZERO;
        let timers = async {
            loop {
                let due = tokio::time::Instant::now() + Duration::from_millis(2);
                tokio::time::sleep_until(due).await;
                latest = latest.max(due.elapsed());
            }
        };
        tokio::select! {
            () = run => {}
            () = timers => {}
        }
        latest
    });
    is_done.store(true, Ordering::SeqCst);
    let machine = machine.join().unwrap();
    println!("a timer was at most {latest:?} late, a thread that only sleeps {machine:?}");
    assert!(latest < LATE_MAX + 2 * machine, "a timer was {latest:?} late, a thread that only sleeps {machine:?}");
}
