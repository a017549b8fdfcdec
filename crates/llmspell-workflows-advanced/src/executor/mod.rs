//! Durable runs: started, driven, and gone on with.

mod again;
mod children;
mod drive;
mod inbox;
mod past;
mod prepared;
mod recipe;
mod redefine;
mod resolve;
mod rollback;
mod services;
mod start;
mod target;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, Plan, Run, StepError,
    engine::{Asker, Wait},
};
use llmspell_workflows_hooks::{EventBus, HookDispatcher};
use llmspell_workflows_state::{Request, RunJournal};
use tokio::sync::Notify;
use uuid::Uuid;

pub use again::Again;
pub use past::Written;
pub(crate) use recipe::Recipe;
pub use redefine::Difference;
pub use resolve::Resolution;
pub(crate) use services::{Services, WeakExecutor};
pub(crate) use start::Begun;
pub use start::StartOptions;

use children::DurableChildren;
use prepared::Prepared;

use crate::{
    ExecutorError, Home,
    home::{Bell, Claim, Ringer},
    stack::stack,
};

/// Runs definitions durably: a step whose completion was acknowledged is never executed again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    engine: Engine,
    /// The same without what surrounds its steps for durability, hooks and events.
    plain: Engine,
    services: Services,
    /// What is known of definitions beyond themselves, by their hashes.
    recipes: Mutex<HashMap<String, Recipe>>,
    prepared: Mutex<Prepared>,
    parking: Mutex<Parking>,
    /// The journals that this process has, by their folders.
    claims: Mutex<Claims>,
    /// Held while runs that have ended are moved to the store.
    archiving: Arc<tokio::sync::Mutex<()>>,
    /// The runs that this process has, whether they are in memory or parked.
    live: Mutex<HashMap<Uuid, Arc<Live>>>,
}

#[derive(Debug, Default)]
struct Claims {
    by_folder: BTreeMap<PathBuf, Claim>,
    /// The one that new runs go to.
    own: Option<PathBuf>,
    /// Hears of messages; there as soon as there is a claim.
    bell: Option<(u16, Ringer)>,
}

/// When a run that waits leaves memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// Never.
    Never,
    /// When it waits for signals alone.
    ForSignals,
    /// When it waits for signals, or at least this long.
    After(Duration),
}

impl Default for Parking {
    fn default() -> Self {
        Self::After(Duration::from_secs(1))
    }
}

/// A run that this process has.
struct Live {
    id: Uuid,
    /// Where its journal is.
    folder: Mutex<Option<PathBuf>>,
    /// In memory; none while it is parked.
    run: Mutex<Option<Arc<Run>>>,
    seen: Mutex<Seen>,
    /// Somebody asked it to pause.
    is_paused: AtomicBool,
    /// A message has come.
    arrival: Notify,
}

/// Which messages were looked at.
#[derive(Debug, Default)]
struct Seen {
    /// The number of the last one.
    last: u64,
    /// The number of the last signal.
    last_signal: u64,
    /// Whoever resumed the run knew of the requests to pause up to this one.
    overruled: u64,
}

/// A durable run in this process.
#[derive(Clone)]
pub struct DurableRun {
    run: Arc<Run>,
    plan: Arc<Plan>,
    journal: Arc<RunJournal>,
    live: Arc<Live>,
    folder: PathBuf,
}

/// How far [`Executor::drive`] came.
#[derive(Debug)]
pub enum DurableEnd {
    /// It has ended, and that is recorded.
    Finished(Box<Finished>),
    /// All of its live branches wait; it goes on when it is resumed.
    Waiting(Wait),
    /// Somebody has to say what became of these steps, and why: see [`Executor::resolve`].
    Stuck(Vec<(String, StepError)>),
    /// It was paused, or its process goes down; it goes on when it is resumed.
    Paused,
}

impl DurableRun {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.run.id()
    }

    /// The run itself, to cancel it or to shut it down.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// What it executes.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Stops it for good, wherever it is by now.
    pub fn cancel(&self) {
        lock(&self.live.run).iter().for_each(|run| run.cancel());
    }

    /// Stops it so that it can be resumed, wherever it is by now.
    pub fn shut_down(&self) {
        self.live.pause(Asker::default());
        lock(&self.live.run).iter().for_each(|run| run.shut_down());
    }

    /// Lets no further leaf begin; [`Executor::drive`] ends with [`DurableEnd::Paused`] once those at work have ended.
    ///
    /// No hook is asked; [`Executor::pause`] asks them.
    pub fn pause(&self) {
        self.live.pause(Asker::default());
    }
}

impl Live {
    fn new(id: Uuid) -> Arc<Self> {
        let (folder, run, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { id, folder, run, seen, is_paused: AtomicBool::new(false), arrival: Notify::new() })
    }

    fn pause(&self, by: Asker) {
        self.is_paused.store(true, Ordering::SeqCst);
        if let Some(run) = &*lock(&self.run) {
            if let Some(journal) = run.extension::<RunJournal>() {
                journal.asked(Request::Pause, by, run.now());
            }
            run.hold();
        }
        self.arrival.notify_one();
    }

    fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }
}

impl Executor {
    /// One that keeps its runs in `home`, with the engine that `builder` makes.
    #[must_use]
    pub fn new(home: Home, builder: EngineBuilder) -> Self {
        Self::with_services(home, &builder.build(), Services::default())
    }

    /// The same, which asks the hooks of `hooks` and tells `events` what happens.
    ///
    /// Steps are told of only if somebody is subscribed when their run begins or goes on; others cost nothing.
    #[must_use]
    pub fn with_hooks(home: Home, builder: EngineBuilder, hooks: Arc<HookDispatcher>, events: EventBus) -> Self {
        Self::with_services(home, &builder.build(), Services { hooks: Some(hooks), events: Some(events) })
    }

    pub(crate) fn with_services(home: Home, plain: &Engine, services: Services) -> Self {
        let inner = Arc::new_cyclic(|inner| {
            let plain = plain.with_children(DurableChildren(inner.clone()));
            Inner {
                home,
                engine: stack(&plain, &services),
                plain,
                services,
                recipes: Mutex::default(),
                prepared: Mutex::default(),
                parking: Mutex::default(),
                claims: Mutex::default(),
                archiving: Arc::default(),
                live: Mutex::default(),
            }
        });
        Self { inner }
    }

    /// The same, which lets waiting runs leave memory as `parking` says.
    #[must_use]
    pub fn parking(self, parking: Parking) -> Self {
        *lock(&self.inner.parking) = parking;
        self
    }

    /// How many of its runs are in memory, rather than parked.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        lock(&self.inner.live).values().filter(|live| lock(&live.run).is_some()).count()
    }

    /// Where its runs are kept.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// What runs them.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}

impl Inner {
    /// The journal that new runs go to.
    fn own_claim(self: &Arc<Self>) -> Result<Claim, ExecutorError> {
        let mut claims = lock(&self.claims);
        if let Some(claim) = claims.own.as_ref().and_then(|own| claims.by_folder.get(own)) {
            return Ok(claim.clone());
        }
        // A store that this program does not understand is told before anything is written beside it.
        self.home.known_stores()?;
        let port = self.bell(&mut claims)?;
        let claim = self.home.claim(port)?;
        claims.own = Some(claim.folder.clone());
        claims.by_folder.insert(claim.folder.clone(), claim.clone());
        Ok(claim)
    }

    /// The journal in `folder`, which a run is in.
    fn claim(self: &Arc<Self>, folder: &PathBuf) -> Result<Claim, ExecutorError> {
        let mut claims = lock(&self.claims);
        if let Some(claim) = claims.by_folder.get(folder) {
            return Ok(claim.clone());
        }
        let port = self.bell(&mut claims)?;
        let claim = self.home.claim_folder(folder, port)?;
        claims.by_folder.insert(folder.clone(), claim.clone());
        Ok(claim)
    }

    fn bell(self: &Arc<Self>, claims: &mut Claims) -> Result<u16, ExecutorError> {
        if let Some((port, _)) = &claims.bell {
            return Ok(*port);
        }
        let no_bell = |error: std::io::Error| ExecutorError::NoBell(error.to_string());
        let bell = Bell::new().map_err(no_bell)?;
        let port = bell.port().map_err(no_bell)?;
        let inner = Arc::downgrade(self);
        // Its thread is none of the runtime's, where hooks are called.
        let runtime = tokio::runtime::Handle::current();
        let ringer = bell.hear(move |run| {
            let _entered = runtime.enter();
            if let Some(inner) = inner.upgrade() {
                inner.rung(run);
            }
        });
        claims.bell = Some((port, ringer.map_err(no_bell)?));
        Ok(port)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for DurableRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable run {}", self.id())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "live run {}", self.id)
    }
}
