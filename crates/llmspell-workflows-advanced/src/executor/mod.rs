//! Starts, drives, parks, resumes and ends durable runs.

mod archiving;
mod bring_in;
mod children;
mod drive;
mod handle;
mod inbox;
mod leases;
mod limits;
mod outputs;
mod owned;
mod parked;
mod past;
mod prepared;
mod preview;
mod recipe;
mod recover;
mod redefine;
mod resolve;
mod retry;
mod rollback;
mod run;
mod services;
mod shut_down;
mod start;
mod target;
mod undone;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{Engine, EngineBuilder, sync::lock};
use llmspell_workflows_hooks::{EventBus, HookDispatcher};

pub use handle::RunHandle;
pub use outputs::{AttemptStatus, ProcessOutput};
pub use preview::{Continuation, Difference, Preview};
pub(crate) use recipe::Recipe;
pub use recover::RecoveryReport;
pub use redefine::Redefinition;
pub use resolve::Resolution;
pub use retry::RewindOptions;
pub use run::{DurableEnd, DurableRun, RunControl};
pub(crate) use services::WeakExecutor;
pub(crate) use start::RunInfo;
pub use start::StartOptions;

use children::DurableChildren;
use leases::Leases;
use limits::HomeLimits;
use owned::Registry;
use prepared::PreparedCache;

use crate::{Home, services::Services, stack::stack};

/// Runs definitions durably: a step whose completion was acknowledged is never executed again. Cheap to clone.
///
/// At any time, a run is either free or owned by one [`DurableRun`], one [`RunHandle`] or one call of [`Self::drive`].
/// A free run can be resumed from its home, in this process or in another process. Dropping the owner releases the
/// run.
#[derive(Debug, Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Arc<dyn Home>,
    engine: Engine,
    /// The same engine without the interceptors for durability, hooks and events.
    plain: Engine,
    services: Services,
    /// The recipes, by hash, for definitions whose data does not fully describe them.
    recipes: Mutex<HashMap<String, Recipe>>,
    prepared: Mutex<PreparedCache>,
    parking: Mutex<Parking>,
    leases: tokio::sync::Mutex<Leases>,
    /// Locked while ended runs are moved to the store.
    archiving: tokio::sync::Mutex<()>,
    registry: Registry,
}

/// When a waiting run is parked, that is, dropped from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// Runs are never parked.
    Never,
    /// A run is parked when it waits only for signals, with or without timeouts.
    ForSignals,
    /// A run is parked when it waits only for signals, or for at least this long.
    After(Duration),
}

impl Default for Parking {
    fn default() -> Self {
        Self::After(Duration::from_secs(1))
    }
}

impl Executor {
    /// Returns an executor that stores its runs in `home` and executes them on the engine built by `builder`.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>, builder: EngineBuilder) -> Self {
        Self::with_services(home.into(), &builder.build(), Services::default())
    }

    /// Returns an executor that also calls `hooks` and publishes events on `events`.
    ///
    /// Step events are published only if `events` has a subscriber when the run is started or resumed; otherwise they
    /// cost nothing.
    #[must_use]
    pub fn with_hooks(
        home: impl Into<Arc<dyn Home>>,
        builder: EngineBuilder,
        hooks: Arc<HookDispatcher>,
        events: EventBus,
    ) -> Self {
        let services = Services { hooks: Some(hooks), events: Some(events) };
        Self::with_services(home.into(), &builder.build(), services)
    }

    pub(crate) fn with_services(home: Arc<dyn Home>, plain: &Engine, services: Services) -> Self {
        let inner = Arc::new_cyclic(|inner| {
            let plain = match home.outputs() {
                Some(outputs) => plain.with_output_sink(outputs),
                None => plain.clone(),
            };
            let plain =
                plain.with_children(DurableChildren(inner.clone())).with_shared_limits(HomeLimits(home.clone()));
            Inner {
                home,
                engine: stack(&plain, &services),
                plain,
                services,
                recipes: Mutex::default(),
                prepared: Mutex::default(),
                parking: Mutex::default(),
                leases: tokio::sync::Mutex::default(),
                archiving: tokio::sync::Mutex::default(),
                registry: Registry::default(),
            }
        });
        Self { inner }
    }

    /// Sets when waiting runs are parked, that is, dropped from memory.
    #[must_use]
    pub fn parking(self, parking: Parking) -> Self {
        *lock(&self.inner.parking) = parking;
        self
    }

    /// Returns the number of runs in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.inner.registry.in_memory()
    }

    /// Returns the number of unparked runs that this executor owns: the runs in memory and those
    /// that are being brought back into memory.
    #[must_use]
    pub fn driven(&self) -> usize {
        self.inner.registry.driven()
    }

    /// Returns the number of parked runs: waiting runs that have been dropped from memory.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.inner.registry.parked()
    }

    /// Returns the home of the executor's runs.
    #[must_use]
    pub fn home(&self) -> &Arc<dyn Home> {
        &self.inner.home
    }

    /// Returns the engine that executes the runs.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}
