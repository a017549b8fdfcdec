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
use serde_json::Value;
use uuid::Uuid;

use super::{
    Chance, CrashPoint, SimClock, SimDisk, WatchedJournal,
    process::{Ended, Process},
};
use crate::Build;

/// How often a process may be started again until the run must have ended.
const PROCESSES_MAX: usize = 1_000;

/// That all of a run waits, and not for a time.
const NOBODY_SENDS: &str = "the run waits for an event that nobody sends";

/// A workflow that is crashed at every boundary; see [the module](super).
#[derive(Clone)]
pub struct CrashTest {
    definition: Definition,
    input: Value,
    activities: Activities,
    signals: Vec<Signal>,
    build: Build,
    effects: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashReport {
    /// How many processes crashed.
    pub crashes: u64,
    /// How many steps were performed again because they had been in flight.
    pub performed_again: u64,
}

/// What a crash changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Difference {}

/// What a crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The journal is in memory, and all that was appended is there.
    Memory,
    /// All that was written is there.
    Kill,
    /// What was synced is there, and of the rest what chance leaves.
    Power,
}

struct Run {
    finished: Box<Finished>,
    effects: BTreeMap<String, u32>,
    has_crashed: bool,
    /// How many boundaries the last process came to.
    boundaries: u64,
}

impl CrashTest {
    /// `definition`, run with `input`.
    #[must_use]
    pub fn new(definition: Definition, input: Value) -> Self {
        let build = Arc::new(|builder: EngineBuilder| builder);
        Self { definition, input, activities: Activities::new(), signals: Vec::new(), build, effects: Arc::default() }
    }

    /// Answers for the activity `name` of `kind`, and counts how often each step performs it.
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

    /// Sends the run the event `name` with `data`, for the first step that waits for it; each process finds it again.
    #[must_use]
    pub fn signal(mut self, name: &str, data: Value) -> Self {
        let number = self.signals.len() as u64 + 1;
        self.signals.push(Signal { number, name: name.to_owned(), data });
        self
    }

    /// Builds the engine with what `build` adds.
    #[must_use]
    pub fn engine(mut self, build: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.build = Arc::new(build);
        self
    }

    /// Crashes the workflow at every boundary, with a journal in memory and with the log on a disk of which a kill or a
    /// power loss leaves what it may.
    ///
    /// # Errors
    /// The first crash that made a difference.
    pub fn crash_everywhere(&self) -> Result<CrashReport, Difference> {
        let mut report = CrashReport { crashes: 0, performed_again: 0 };
        for loss in [Loss::Memory, Loss::Kill, Loss::Power] {
            self.crash_with(loss, &mut report)?;
        }
        Ok(report)
    }

    /// As [`Self::crash_everywhere`], at `count` boundaries by chance, which `seed` decides.
    ///
    /// # Errors
    /// The first crash that made a difference.
    pub fn crash_anywhere(&self, count: u32, seed: u64) -> Result<CrashReport, Difference> {
        let mut report = CrashReport { crashes: 0, performed_again: 0 };
        let mut chance = Chance::new(seed);
        for loss in [Loss::Memory, Loss::Kill, Loss::Power] {
            let expected = self.run(loss, None)?;
            for _ in 0..count {
                self.crash_once(loss, &expected, chance.below(expected.boundaries + 1), &mut report)?;
            }
        }
        Ok(report)
    }

    /// Runs it to its end on `journal`, which may know it already; waiting takes no time.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn run_on(&self, journal: &Arc<dyn Journal>) -> Result<Finished, JournalError> {
        self.run_at(journal, &SimClock::default())
    }

    /// As [`Self::run_on`], by a clock that may show a later time: that at which an earlier process ended.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn run_at(&self, journal: &Arc<dyn Journal>, clock: &SimClock) -> Result<Finished, JournalError> {
        let finished = self.run_until(journal, clock, &CrashPoint::never())?;
        Ok(finished.expect("it never crashes"))
    }

    /// As [`Self::run_at`], in a process that crashes at `point`; `None`: it has. The journal should be a
    /// [`WatchedJournal`] of that point, whose boundaries it then crashes at.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn run_until(
        &self,
        journal: &Arc<dyn Journal>,
        clock: &SimClock,
        point: &CrashPoint,
    ) -> Result<Option<Finished>, JournalError> {
        lock(&self.effects).clear();
        let engine = self.engine_with(clock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        loop {
            match runtime.block_on(self.process(&engine, clock).go(journal.clone(), point)) {
                Ended::Done(finished) => return Ok(Some(*finished)),
                Ended::Parked(wake_at) => clock.set(wake_at.unwrap_or_else(|| panic!("{NOBODY_SENDS}"))),
                Ended::Fault(fault) => return Err(fault),
                Ended::Crashed => return Ok(None),
            }
        }
    }

    /// How often each step was performed since the last run began, by its path and attempt.
    #[must_use]
    pub fn performed(&self) -> BTreeMap<String, u32> {
        self.effects().clone()
    }

    fn engine_with(&self, clock: &SimClock) -> Engine {
        let builder = Engine::builder().activities(self.activities.clone()).interceptor(Position::Journal, Journaling);
        (self.build)(builder.clock(clock.clone()).timers(clock.clone())).build()
    }

    fn process<'a>(&'a self, engine: &'a Engine, clock: &'a SimClock) -> Process<'a> {
        let Self { definition, input, signals, .. } = self;
        Process { engine, definition, input, signals, run: Uuid::nil(), clock }
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

    /// Crashes it at one boundary; whether it came so far.
    fn crash_once(
        &self,
        loss: Loss,
        expected: &Run,
        crash_at: u64,
        report: &mut CrashReport,
    ) -> Result<bool, Difference> {
        let told = |difference: Difference| {
            Difference(format!("{}, {loss:?} at boundary {crash_at}: {difference}", self.definition.name))
        };
        let resumed = self.run(loss, Some(crash_at)).map_err(told)?;
        self.compare(expected, &resumed).map_err(told)?;
        report.performed_again += resumed.effects.values().map(|count| u64::from(count - 1)).sum::<u64>();
        report.crashes += u64::from(resumed.has_crashed);
        Ok(resumed.has_crashed)
    }

    fn compare(&self, expected: &Run, resumed: &Run) -> Result<(), Difference> {
        let (one, two) = (&expected.finished, &resumed.finished);
        same("status", &one.status, &two.status)?;
        same("output", &one.output, &two.output)?;
        same("error", &one.error, &two.error)?;
        same("state", &one.state_changes, &two.state_changes)?;
        // How far a step comes that is stopped, because another won, is a matter of chance.
        let stopped: Vec<String> = [one, two].iter().flat_map(|finished| stopped(finished)).collect();
        let is_stopped = |effect: &str| {
            stopped
                .iter()
                .any(|path| effect.strip_prefix(&**path).is_some_and(|rest| rest.starts_with(['/', '#', '['])))
        };
        let keys =
            |run: &Run| run.effects.keys().filter(|effect| !is_stopped(effect)).cloned().collect::<BTreeSet<_>>();
        same("set of effects", &keys(expected), &keys(resumed))
    }

    /// Runs to the end with a first process that crashes at boundary `crash_at`.
    fn run(&self, loss: Loss, crash_at: Option<u64>) -> Result<Run, Difference> {
        lock(&self.effects).clear();
        let clock = SimClock::default();
        let engine = self.engine_with(&clock);
        let process = self.process(&engine, &clock);
        let mut point = crash_at.map_or_else(CrashPoint::never, CrashPoint::at);
        let (memory, mut disk) = (Arc::new(MemoryJournal::new()), SimDisk::new());
        let (mut has_crashed, mut acknowledged) = (false, BTreeMap::new());
        for _ in 0..PROCESSES_MAX {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let watched = open(loss, &memory, &disk, &point)?;
            let ended = match &watched {
                Some(watched) => runtime.block_on(process.go(watched.clone(), &point)),
                None => Ended::Crashed,
            };
            drop(runtime);
            let heard = watched.map(|watched| watched.acknowledged()).unwrap_or_default();
            self.check_effects(&mut acknowledged, heard)?;
            match ended {
                Ended::Done(finished) => {
                    let boundaries = point.passed();
                    return Ok(Run { finished, effects: self.effects().clone(), has_crashed, boundaries });
                }
                Ended::Parked(wake_at) => {
                    let wake_at = wake_at.ok_or_else(|| Difference(NOBODY_SENDS.to_owned()))?;
                    clock.set(wake_at);
                }
                Ended::Crashed => {
                    has_crashed = true;
                    point = CrashPoint::never();
                    disk = match loss {
                        Loss::Power => disk.after_power_loss(crash_at.unwrap_or_default()),
                        Loss::Kill | Loss::Memory => disk.after_kill(),
                    };
                }
                Ended::Fault(fault) => return Err(Difference(fault.to_string())),
            }
        }
        Err(Difference(format!("it has not ended after {PROCESSES_MAX} processes")))
    }

    /// A step whose completion was acknowledged earlier must not have been performed since.
    fn check_effects(
        &self,
        acknowledged: &mut BTreeMap<String, BTreeMap<String, u32>>,
        heard: BTreeSet<String>,
    ) -> Result<(), Difference> {
        let effects = self.effects();
        let of = |path: &str| -> BTreeMap<String, u32> {
            let prefix = format!("{path}#");
            effects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(key, n)| (key.clone(), *n)).collect()
        };
        for (path, then) in &*acknowledged {
            if of(path) != *then {
                return Err(Difference(format!("{path} was acknowledged, and performed again after that")));
            }
        }
        acknowledged.extend(heard.into_iter().map(|path| (path.clone(), of(&path))));
        Ok(())
    }

    fn effects(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        lock(&self.effects)
    }
}

/// The journal as a process finds it; `None`: it crashes before it has opened it.
fn open(
    loss: Loss,
    memory: &Arc<MemoryJournal>,
    disk: &SimDisk,
    point: &CrashPoint,
) -> Result<Option<Arc<WatchedJournal>>, Difference> {
    let journal: Arc<dyn Journal> = match loss {
        Loss::Memory => memory.clone(),
        Loss::Kill | Loss::Power => {
            // So short that runs cross from one segment to the next.
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

fn same<T: PartialEq + fmt::Debug>(what: &str, one: &T, two: &T) -> Result<(), Difference> {
    if one == two { Ok(()) } else { Err(Difference(format!("its {what} is {two:?} instead of {one:?}"))) }
}

/// The steps that were stopped.
fn stopped(finished: &Finished) -> Vec<String> {
    let stopped = finished.steps.iter().filter(|step| step.status == StepStatus::Cancelled);
    stopped.map(|step| step.path.to_string()).collect()
}
