use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, StepError,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Position, Signal, StepStatus},
    model::Definition,
    sync::lock,
};
use llmspell_workflows_state::{Journal, JournalError, Journaling, LogOptions, MemoryJournal, WalJournal};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CrashPoint, SeededRandom, SimClock, SimDisk, WatchedJournal,
    process::{Process, ProcessEnd},
};
use crate::ConfigureEngine;

/// The maximum number of processes that a run may need before it ends.
const PROCESSES_MAX: usize = 1_000;

/// The message for a run whose branches all wait for signals.
const NEVER_SENT: &str = "the run waits for a signal that is never sent";

/// A test that crashes a workflow at every boundary; see [the module](super).
#[derive(Clone)]
pub struct CrashTest {
    definition: Definition,
    input: Value,
    activities: Activities,
    signals: Vec<Signal>,
    configure: ConfigureEngine,
    effects: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// A summary of a crash test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashReport {
    /// The number of processes that crashed.
    pub crashes: u64,
    /// The number of steps performed again because they were in flight during the crash.
    pub performed_again: u64,
}

/// A difference between a crashed and an uninterrupted run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference(String);

#[cfg(feature = "advanced")]
impl Difference {
    pub(crate) fn new(difference: String) -> Self {
        Self(difference)
    }

    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Difference {}

/// The data that a crash loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The journal is in memory, and all appended records are kept.
    Memory,
    /// A kill: all writes are kept.
    Kill,
    /// A power loss: synced writes are kept, and a random subset of the other writes.
    Power,
}

struct Run {
    finished: Box<Finished>,
    effects: BTreeMap<String, u32>,
    has_crashed: bool,
    /// The number of boundaries that the last process reached.
    boundaries: u64,
}

impl CrashTest {
    /// Creates a test that runs `definition` with `input`.
    #[must_use]
    pub fn new(definition: Definition, input: Value) -> Self {
        let configure = Arc::new(|builder: EngineBuilder| builder);
        Self {
            definition,
            input,
            activities: Activities::new(),
            signals: Vec::new(),
            configure,
            effects: Arc::default(),
        }
    }

    /// Registers the activity `name` of `kind` and counts how often each step performs it.
    #[must_use]
    pub fn activity<F, Fut>(mut self, kind: &str, name: &str, perform: F) -> Self
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        let effects = self.effects.clone();
        let counted = function(move |context: ActivityContext| {
            let effect = format!("{}#{}", context.path(), context.attempt());
            *lock(&effects).entry(effect).or_default() += 1;
            perform(context)
        });
        self.activities.register(kind, name, counted);
        self
    }

    /// Sends the signal `name` with `data` to the run; the first step that waits for it receives it.
    ///
    /// Every process of the run delivers the signal again.
    #[must_use]
    pub fn signal(mut self, name: &str, data: Value) -> Self {
        let number = self.signals.len() as u64 + 1;
        self.signals.push(Signal::new(number, name, data));
        self
    }

    /// Configures the engine with `configure`.
    #[must_use]
    pub fn engine(mut self, configure: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.configure = Arc::new(configure);
        self
    }

    /// Crashes the workflow at every boundary.
    ///
    /// The test covers an in-memory journal, a log on disk after a kill, and a log on disk after a power loss.
    ///
    /// # Errors
    /// Returns an error as soon as a crash changes the result.
    pub fn crash_everywhere(&self) -> Result<CrashReport, Difference> {
        let mut report = CrashReport { crashes: 0, performed_again: 0 };
        for loss in [Loss::Memory, Loss::Kill, Loss::Power] {
            self.crash_with(loss, &mut report)?;
        }
        Ok(report)
    }

    /// Does the same as [`Self::crash_everywhere`], but only at `count` random boundaries,
    /// determined by `seed`.
    ///
    /// # Errors
    /// Returns an error as soon as a crash changes the result.
    pub fn crash_anywhere(&self, count: u32, seed: u64) -> Result<CrashReport, Difference> {
        let mut report = CrashReport { crashes: 0, performed_again: 0 };
        let mut random = SeededRandom::new(seed);
        for loss in [Loss::Memory, Loss::Kill, Loss::Power] {
            let expected = self.run(loss, None)?;
            for _ in 0..count {
                self.crash_once(loss, &expected, random.below(expected.boundaries + 1), &mut report)?;
            }
        }
        Ok(report)
    }

    /// Runs the workflow to the end on `journal`, which may already contain the run. Waits take no real time.
    ///
    /// # Errors
    /// Fails if the journal cannot be read or written.
    pub fn run_on(&self, journal: &Arc<dyn Journal>) -> Result<Finished, JournalError> {
        self.run_at(journal, &SimClock::default())
    }

    /// Runs the workflow like [`Self::run_on`], but with `clock`, which may start at the time when
    /// an earlier process ended.
    ///
    /// # Errors
    /// Fails if the journal cannot be read or written.
    pub fn run_at(&self, journal: &Arc<dyn Journal>, clock: &SimClock) -> Result<Finished, JournalError> {
        let finished = self.run_until(journal, clock, &CrashPoint::never())?;
        Ok(finished.expect("the process never crashes"))
    }

    /// Runs the workflow like [`Self::run_at`], in a process that crashes at `point`; returns
    /// `None` if the process crashed.
    ///
    /// The journal should be a [`WatchedJournal`] with the same point, which counts the boundaries.
    ///
    /// # Errors
    /// Fails if the journal cannot be read or written.
    pub fn run_until(
        &self,
        journal: &Arc<dyn Journal>,
        clock: &SimClock,
        point: &CrashPoint,
    ) -> Result<Option<Finished>, JournalError> {
        lock(&self.effects).clear();
        let engine = self.engine_with(clock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
        loop {
            match runtime.block_on(self.process(&engine, clock).run(journal.clone(), point)) {
                ProcessEnd::Done(finished) => return Ok(Some(*finished)),
                ProcessEnd::Parked(wake_at) => clock.set(wake_at.unwrap_or_else(|| panic!("{NEVER_SENT}"))),
                ProcessEnd::Fault(fault) => return Err(fault),
                ProcessEnd::Crashed => return Ok(None),
            }
        }
    }

    /// Returns how often each step was performed since the last run started, by path and attempt.
    #[must_use]
    pub fn performed(&self) -> BTreeMap<String, u32> {
        self.effects().clone()
    }

    fn engine_with(&self, clock: &SimClock) -> Engine {
        let builder = Engine::builder().activities(self.activities.clone()).interceptor(Position::Journal, Journaling);
        (self.configure)(builder.clock(clock.clone()).timers(clock.clone())).build()
    }

    fn process<'a>(&'a self, engine: &'a Engine, clock: &'a SimClock) -> Process<'a> {
        let Self { definition, input, signals, .. } = self;
        Process { engine, definition, input, signals, run_id: Uuid::nil(), clock }
    }

    fn crash_with(&self, loss: Loss, report: &mut CrashReport) -> Result<(), Difference> {
        let expected = self.run(loss, None)?;
        for crash_at in 0.. {
            if !self.crash_once(loss, &expected, crash_at, report)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Crashes the workflow at one boundary; returns whether the boundary was reached.
    fn crash_once(
        &self,
        loss: Loss,
        expected: &Run,
        crash_at: u64,
        report: &mut CrashReport,
    ) -> Result<bool, Difference> {
        let locate = |difference: Difference| {
            Difference(format!("{}, {loss:?} at boundary {crash_at}: {difference}", self.definition.name))
        };
        let resumed = self.run(loss, Some(crash_at)).map_err(locate)?;
        self.compare(expected, &resumed).map_err(locate)?;
        report.performed_again += resumed.effects.values().map(|count| u64::from(count - 1)).sum::<u64>();
        report.crashes += u64::from(resumed.has_crashed);
        Ok(resumed.has_crashed)
    }

    fn compare(&self, expected: &Run, resumed: &Run) -> Result<(), Difference> {
        let (one, two) = (&expected.finished, &resumed.finished);
        same("status", &one.status, &two.status, |status| status.as_str().to_owned())?;
        same("output", &one.output, &two.output, |output| output.to_string())?;
        same("error", &one.error, &two.error, |error| match error {
            Some(error) => error.to_string(),
            None => "no error".to_owned(),
        })?;
        same("later errors", &one.later_errors, &two.later_errors, |errors| json!(errors).to_string())?;
        same("state", &one.state_changes, &two.state_changes, |changes| json!(changes).to_string())?;
        // A step cancelled because another step won a race is stopped at a random point.
        let cancelled: Vec<String> = [one, two].iter().flat_map(|finished| cancelled_paths(finished)).collect();
        let is_cancelled = |effect: &str| {
            cancelled
                .iter()
                .any(|path| effect.strip_prefix(&**path).is_some_and(|rest| rest.starts_with(['/', '#', '['])))
        };
        let keys = |run: &Run| run.effects.keys().filter(|effect| !is_cancelled(effect)).cloned().collect::<Vec<_>>();
        same("effects", &keys(expected), &keys(resumed), |keys| keys.join(", "))
    }

    /// Runs the workflow to the end; the first process crashes at boundary `crash_at`.
    fn run(&self, loss: Loss, crash_at: Option<u64>) -> Result<Run, Difference> {
        lock(&self.effects).clear();
        let clock = SimClock::default();
        let engine = self.engine_with(&clock);
        let process = self.process(&engine, &clock);
        let mut point = crash_at.map_or_else(CrashPoint::never, CrashPoint::at);
        let (memory, mut disk) = (Arc::new(MemoryJournal::new()), SimDisk::new());
        let (mut has_crashed, mut acknowledged) = (false, BTreeMap::new());
        for _ in 0..PROCESSES_MAX {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
            let watched = open(loss, &memory, &disk, &point)?;
            let end = match &watched {
                Some(watched) => runtime.block_on(process.run(watched.clone(), &point)),
                None => ProcessEnd::Crashed,
            };
            drop(runtime);
            let newly_acknowledged = watched.map(|watched| watched.acknowledged()).unwrap_or_default();
            self.check_effects(&mut acknowledged, newly_acknowledged)?;
            match end {
                ProcessEnd::Done(finished) => {
                    let boundaries = point.passed();
                    return Ok(Run { finished, effects: self.effects().clone(), has_crashed, boundaries });
                }
                ProcessEnd::Parked(wake_at) => {
                    let wake_at = wake_at.ok_or_else(|| Difference(NEVER_SENT.to_owned()))?;
                    clock.set(wake_at);
                }
                ProcessEnd::Crashed => {
                    has_crashed = true;
                    point = CrashPoint::never();
                    disk = match loss {
                        Loss::Power => disk.after_power_loss(crash_at.unwrap_or_default()),
                        Loss::Kill | Loss::Memory => disk.after_kill(),
                    };
                }
                ProcessEnd::Fault(fault) => return Err(Difference(fault.to_string())),
            }
        }
        Err(Difference(format!("the run did not end after {PROCESSES_MAX} processes")))
    }

    /// Checks that no step was performed again after its completion was acknowledged.
    fn check_effects(
        &self,
        acknowledged: &mut BTreeMap<String, BTreeMap<String, u32>>,
        newly_acknowledged: BTreeSet<String>,
    ) -> Result<(), Difference> {
        let effects = self.effects();
        let of = |path: &str| -> BTreeMap<String, u32> {
            let prefix = format!("{path}#");
            effects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(key, n)| (key.clone(), *n)).collect()
        };
        for (path, then) in &*acknowledged {
            if of(path) != *then {
                return Err(Difference(format!("{path} was performed again after its completion was acknowledged")));
            }
        }
        acknowledged.extend(newly_acknowledged.into_iter().map(|path| (path.clone(), of(&path))));
        Ok(())
    }

    fn effects(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        lock(&self.effects)
    }
}

/// Opens the journal for a process; returns `None` if the process crashes before the journal is
/// open.
fn open(
    loss: Loss,
    memory: &Arc<MemoryJournal>,
    disk: &SimDisk,
    point: &CrashPoint,
) -> Result<Option<Arc<WatchedJournal>>, Difference> {
    let journal: Arc<dyn Journal> = match loss {
        Loss::Memory => memory.clone(),
        Loss::Kill | Loss::Power => {
            // Segments are short so that a run spans several of them.
            let options = LogOptions { segment_min: 2 << 10, segment_max: 8 << 10, prepare_ahead: false };
            match WalJournal::open_on(Arc::new(disk.for_process(point)), Path::new("/log"), options) {
                Ok(journal) => Arc::new(journal),
                Err(_) if point.has_crashed() => return Ok(None),
                Err(error) => return Err(Difference(error.to_string())),
            }
        }
    };
    Ok(Some(Arc::new(WatchedJournal::new(journal, point.clone()))))
}

fn same<T: PartialEq>(what: &str, one: &T, two: &T, show: impl Fn(&T) -> String) -> Result<(), Difference> {
    if one == two {
        return Ok(());
    }
    Err(Difference(format!("expected the {what} {}, got {}", show(one), show(two))))
}

/// Returns the paths of the cancelled steps.
fn cancelled_paths(finished: &Finished) -> Vec<String> {
    let cancelled = finished.steps.iter().filter(|step| step.status == StepStatus::Cancelled);
    cancelled.map(|step| step.path.to_string()).collect()
}
