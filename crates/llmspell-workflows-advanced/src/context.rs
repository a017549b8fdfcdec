use std::{
    fmt,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::{Engine, ExecutionContext, sync::lock};
use llmspell_workflows_hooks::{Correlations, EventBus, HookDispatcher, HookDispatcherBuilder};

use crate::{
    Executor, Home, MemoryHome, Parking,
    services::Services,
    sessions::{MemorySessions, SessionManager, SessionStorage},
    stack::around,
    state::{StateManager, StateStorage, StoredStates},
    vectors::{EmbeddingService, HashedEmbeddings, MemoryVectors, VectorStorage},
};

/// All services that workflows use; cheap to clone.
///
/// [`Self::in_memory`] and `embedded` return a complete context. The `with_…` methods replace a service; later runs
/// use the new service.
///
/// ```
/// use llmspell_workflows_advanced::EnhancedExecutionContext;
/// use llmspell_workflows_basic::{Engine, activity::{Activities, function}};
/// use llmspell_workflows_hooks::{Registration, answer::Before, hook_fn, point::BeforeToolExecution};
///
/// let no_tools = hook_fn(|_| async { Ok(Before::Skip("not today".into())) });
/// let context = EnhancedExecutionContext::in_memory()
///     .with_engine(Engine::builder().build())
///     .with_hooks(|hooks| hooks.register(Registration::new("no-tools").at(BeforeToolExecution, no_tools)));
/// # let _ = context;
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct EnhancedExecutionContext {
    /// The engine, with its activities, limits and secrets.
    pub basic_context: ExecutionContext,
    /// The dispatcher that calls the hooks.
    pub hook_dispatcher: Arc<HookDispatcher>,
    /// The bus that events are published on.
    pub event_bus: Arc<EventBus>,
    /// The storage for states that outlive their runs.
    pub state_storage: Arc<dyn StateStorage>,
    /// The manager of run states.
    pub state_manager: Arc<StateManager>,
    /// The storage behind [`Self::session_manager`].
    pub session_storage: Arc<dyn SessionStorage>,
    /// The manager of sessions.
    pub session_manager: Arc<SessionManager>,
    /// The storage for the embeddings of past runs.
    pub vector_storage: Arc<dyn VectorStorage>,
    /// The service that embeds texts.
    pub embedding_service: Arc<dyn EmbeddingService>,
    /// The session to which new runs are added.
    pub session_id: Option<String>,
    parking: Parking,
    cached: Arc<Mutex<Option<CachedExecutor>>>,
}

/// An executor and the services it was built from.
struct CachedExecutor {
    executor: Executor,
    engine: Engine,
    hooks: Arc<HookDispatcher>,
    events: Arc<EventBus>,
    states: Arc<StateManager>,
    parking: Parking,
}

impl EnhancedExecutionContext {
    /// Returns a context that keeps everything in memory, for tests and for runs that need not outlive the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryHome::new())
    }

    /// Returns a context that keeps runs and states in the folder `path`, and everything else in memory. Only one
    /// process at a time can use the folder.
    #[cfg(feature = "sled")]
    #[must_use]
    pub fn embedded(path: impl Into<std::path::PathBuf>) -> Self {
        Self::new(crate::FolderHome::embedded(path))
    }

    /// Returns a context without activities or hooks. Runs and states are kept in `home`, and
    /// sessions and vectors are kept in memory.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>) -> Self {
        let home = home.into();
        let correlations = Correlations::default();
        let sessions: Arc<dyn SessionStorage> = Arc::new(MemorySessions::default());
        Self {
            basic_context: ExecutionContext::new(Engine::builder().build()),
            event_bus: Arc::new(EventBus::with(correlations.clone(), None)),
            hook_dispatcher: Arc::new(HookDispatcher::builder().correlations(correlations).build()),
            state_storage: Arc::new(StoredStates::new(home.clone())),
            state_manager: Arc::new(StateManager::new(home)),
            session_manager: Arc::new(SessionManager::new(sessions.clone())),
            session_storage: sessions,
            vector_storage: Arc::new(MemoryVectors::default()),
            embedding_service: Arc::new(HashedEmbeddings::default()),
            session_id: None,
            parking: Parking::default(),
            cached: Arc::default(),
        }
    }

    /// Sets the engine, with its activities, limits and secrets.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { basic_context: ExecutionContext::new(engine), cached: Arc::default(), ..self }
    }

    /// Sets the hooks, which report failures to [`Self::event_bus`] and use its correlation ids.
    #[must_use]
    pub fn with_hooks(self, hooks: impl FnOnce(HookDispatcherBuilder) -> HookDispatcherBuilder) -> Self {
        let events = (*self.event_bus).clone();
        let builder = HookDispatcher::builder().correlations(events.correlations().clone()).events(events);
        Self { hook_dispatcher: Arc::new(hooks(builder).build()), cached: Arc::default(), ..self }
    }

    /// Sets the event bus; call this before [`Self::with_hooks`].
    #[must_use]
    pub fn with_events(self, events: EventBus) -> Self {
        Self { event_bus: Arc::new(events), cached: Arc::default(), ..self }
    }

    /// Sets the storage of sessions.
    #[must_use]
    pub fn with_sessions(self, sessions: Arc<dyn SessionStorage>) -> Self {
        Self { session_manager: Arc::new(SessionManager::new(sessions.clone())), session_storage: sessions, ..self }
    }

    /// Sets the storage of vectors and the service that computes them.
    #[must_use]
    pub fn with_vectors(self, vectors: Arc<dyn VectorStorage>, embeddings: Arc<dyn EmbeddingService>) -> Self {
        Self { vector_storage: vectors, embedding_service: embeddings, ..self }
    }

    /// Sets the session to which new runs are added.
    #[must_use]
    pub fn in_session(self, session_id: impl Into<String>) -> Self {
        Self { session_id: Some(session_id.into()), ..self }
    }

    /// Sets when waiting runs are parked, that is, dropped from memory.
    #[must_use]
    pub fn with_parking(self, parking: Parking) -> Self {
        Self { parking, cached: Arc::default(), ..self }
    }

    /// Returns the durable executor that uses these services. It is rebuilt only after a service has been replaced.
    #[must_use]
    pub fn executor(&self) -> Executor {
        let mut cached = lock(&self.cached);
        if let Some(cached) = cached.as_ref().filter(|cached| self.matches(cached)) {
            return cached.executor.clone();
        }
        let engine = self.basic_context.engine().clone();
        let home = self.state_manager.home().clone();
        let executor = Executor::with_services(home, &engine, self.services()).parking(self.parking);
        *cached = Some(CachedExecutor {
            executor: executor.clone(),
            engine,
            hooks: self.hook_dispatcher.clone(),
            events: self.event_bus.clone(),
            states: self.state_manager.clone(),
            parking: self.parking,
        });
        executor
    }

    /// Returns an engine with the hooks and events, for unrecorded runs in memory.
    ///
    /// Step events are published only if there is a subscriber when the definition is prepared. A step with neither
    /// subscribers nor hooks costs the same as in the plain engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        around(self.basic_context.engine(), &self.services())
    }

    fn services(&self) -> Services {
        Services { hooks: Some(self.hook_dispatcher.clone()), events: Some((*self.event_bus).clone()) }
    }

    fn matches(&self, cached: &CachedExecutor) -> bool {
        cached.engine.is_same(self.basic_context.engine())
            && Arc::ptr_eq(&cached.hooks, &self.hook_dispatcher)
            && Arc::ptr_eq(&cached.events, &self.event_bus)
            && Arc::ptr_eq(&cached.states, &self.state_manager)
            && cached.parking == self.parking
    }
}

impl fmt::Debug for EnhancedExecutionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnhancedExecutionContext")
            .field("basic_context", &self.basic_context)
            .field("hook_dispatcher", &self.hook_dispatcher)
            .field("event_bus", &self.event_bus)
            .field("state_manager", &self.state_manager)
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}
