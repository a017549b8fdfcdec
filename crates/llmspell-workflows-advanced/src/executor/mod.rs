//! Durable runs: started, driven, parked, and taken up again.

mod again;
mod archiving;
mod children;
mod drive;
mod handle;
mod inbox;
mod leases;
mod owned;
mod parked;
mod past;
mod prepared;
mod recipe;
mod recover;
mod redefine;
mod resolve;
mod rollback;
mod run;
mod services;
mod shut_down;
mod start;
mod target;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{Engine, EngineBuilder, sync::lock};
use llmspell_workflows_hooks::{EventBus, HookDispatcher};

pub use again::Again;
pub use handle::RunHandle;
pub use past::Written;
pub(crate) use recipe::Recipe;
pub use recover::Recovered;
pub use redefine::Difference;
pub use resolve::Resolution;
pub use run::{DurableEnd, DurableRun, RunControl};
pub(crate) use services::WeakExecutor;
pub(crate) use start::Begun;
pub use start::StartOptions;

use children::DurableChildren;
use leases::Leases;
use owned::Registry;
use prepared::Prepared;

use crate::{Home, services::Services, stack::stack};

/// Runs definitions durably: a step whose completion was acknowledged is never executed again. Cheap to clone.
///
/// Each run is owned by one [`DurableRun`], [`RunHandle`] or call of [`Self::drive`] at a time, or by nobody: then whoever
/// holds the home can resume it, in this process or another one. Ownership is a guard, so dropping it releases the run.
#[derive(Debug, Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Arc<dyn Home>,
    engine: Engine,
    /// The same without what surrounds its steps for durability, hooks and events.
    plain: Engine,
    services: Services,
    /// What is known of definitions beyond themselves, by their hashes.
    recipes: Mutex<HashMap<String, Recipe>>,
    prepared: Mutex<Prepared>,
    parking: Mutex<Parking>,
    leases: tokio::sync::Mutex<Leases>,
    /// Held while runs that have ended are moved to the store.
    archiving: tokio::sync::Mutex<()>,
    registry: Registry,
}

/// When a waiting run leaves memory.
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

impl Executor {
    /// Returns an executor that keeps its runs in `home`, with the engine that `builder` makes.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>, builder: EngineBuilder) -> Self {
        Self::with_services(home.into(), &builder.build(), Services::default())
    }

    /// The same, with the hooks of `hooks`; what happens is published on `events`.
    ///
    /// Events of steps are published only if somebody is subscribed when the run is started or resumed; otherwise they
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
            let plain = plain.with_children(DurableChildren(inner.clone()));
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

    /// The same executor, whose waiting runs leave memory as `parking` says.
    #[must_use]
    pub fn parking(self, parking: Parking) -> Self {
        *lock(&self.inner.parking) = parking;
        self
    }

    /// How many of its runs are in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.inner.registry.in_memory()
    }

    /// How many of its runs are parked: they wait, and take up next to no memory.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.inner.registry.parked()
    }

    /// Where its runs are kept.
    #[must_use]
    pub fn home(&self) -> &Arc<dyn Home> {
        &self.inner.home
    }

    /// What runs them.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}
