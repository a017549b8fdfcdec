use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_advanced::{
    DurableEnd, DurableRun, Executor, ExecutorError, FolderHome, Home, Message, Parking,
};
use llmspell_workflows_basic::sync::lock;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{cast::Cast, gate::Gate, home::CrashingHome, ledger::SharedLedger};
use crate::clock::SimClock;

/// The maximum real time of a verb.
const VERB_TIME_MAX: Duration = Duration::from_secs(60);

/// The interval between checks of whether a run is still driven.
const POLL: Duration = Duration::from_micros(200);

/// A process that has opened the home in a folder and may crash at each boundary of its gate.
pub(super) struct Process {
    executor: Executor,
    home: Arc<dyn Home>,
    gate: Gate,
    clock: SimClock,
    mid_step: MidStep,
    ledger: SharedLedger,
    /// Dropped last, because its tasks use the executor.
    runtime: Runtime,
}

/// The handles that a process needs to perform verbs.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) executor: Executor,
    pub(super) home: Arc<dyn Home>,
    pub(super) mid_step: MidStep,
    pub(super) ledger: SharedLedger,
    clock: SimClock,
}

impl Process {
    pub(super) fn open(cast: &Cast, folder: &Path, ledger: &SharedLedger, clock: &SimClock) -> Self {
        let (gate, mid_step) = (Gate::new(), MidStep::default());
        let inner = Arc::new(FolderHome::new(folder));
        let home: Arc<dyn Home> = Arc::new(CrashingHome::new(inner, gate.clone(), ledger.clone(), cast.wraps.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
        let engine = cast.engine(&gate, ledger, clock, &mid_step);
        let executor = Executor::new(home.clone(), engine).parking(Parking::After(Duration::ZERO));
        Self { executor, home, gate, clock: clock.clone(), mid_step, ledger: ledger.clone(), runtime }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn hands(&self) -> Hands {
        let (executor, home, ledger) = (self.executor.clone(), self.home.clone(), self.ledger.clone());
        Hands { executor, home, mid_step: self.mid_step.clone(), ledger, clock: self.clock.clone() }
    }

    /// Runs `work` to its end; returns `None` if the process crashed. A crashed process does
    /// nothing more.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let done = self.runtime.block_on(async {
            let mut work = std::pin::pin!(tokio::time::timeout(VERB_TIME_MAX, work));
            let mut dead = std::pin::pin!(self.gate.dead());
            tokio::select! {
                biased;
                () = &mut dead => None,
                done = &mut work => Some(done),
            }
        });
        // The result of a crashed process is lost.
        if self.gate.point().has_crashed() {
            self.runtime.block_on(self.gate.quiet());
            return None;
        }
        match done {
            Some(Ok(done)) => Some(done),
            _ => panic!("the verb took longer than {VERB_TIME_MAX:?}; {}", self.gate.story()),
        }
    }
}

impl Hands {
    /// Resumes all unowned runs, and waits until they have ended or are parked.
    pub(super) async fn recover(&self) -> Result<(), ExecutorError> {
        let recovered = self.executor.recover().await?;
        self.settle().await;
        recovered.failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Waits until this process does not drive any run.
    pub(super) async fn settle(&self) {
        while self.executor.driven() > 0 {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the run with this id.
    pub(super) async fn find(&self, run: Uuid) -> Result<llmspell_workflows_advanced::KnownRun, ExecutorError> {
        self.home.find(&run.to_string()).await
    }

    /// Drives `run` until it ends, is paused or stuck, or waits for a signal. Waits for a time end
    /// at once, because the clock is simulated.
    pub(super) async fn drive(&self, run: DurableRun) -> Result<DurableEnd, ExecutorError> {
        let (id, mut run) = (run.id(), run);
        loop {
            match self.executor.drive(run).await? {
                DurableEnd::Waiting(wait) if wait.wake_at.is_some() => {
                    self.clock.set(wait.wake_at.expect("the run waits for a time"));
                    run = self.executor.resume(&self.find(id).await?).await?;
                }
                end => return Ok(end),
            }
        }
    }
}

/// A message that a process sends to a run during a step of the run.
#[derive(Clone, Default)]
pub(super) struct MidStep(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    message: Option<(Arc<dyn Home>, Uuid, Message)>,
    is_sent: bool,
}

impl MidStep {
    /// Sends `message` to `run` during the next step.
    pub(super) fn prepare(&self, home: Arc<dyn Home>, run: Uuid, message: Message) {
        *lock(&self.0) = Slot { message: Some((home, run, message)), is_sent: false };
    }

    /// Drops the message if it was not sent; returns whether it was sent.
    pub(super) fn end(&self) -> bool {
        std::mem::take(&mut *lock(&self.0)).is_sent
    }

    pub(super) async fn send(&self) {
        let message = lock(&self.0).message.take();
        let Some((home, run, message)) = message else { return };
        let known = home.find(&run.to_string()).await.expect("the run of an executing step exists");
        home.post(&known, &message).await.expect("a run with an executing step takes messages");
        lock(&self.0).is_sent = true;
    }
}

/// Copies the folder of a home as it would be after its processes were killed.
pub(super) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            match fs::copy(entry.path(), &target) {
                // A file removed during the copy is treated as removed before the copy.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}
