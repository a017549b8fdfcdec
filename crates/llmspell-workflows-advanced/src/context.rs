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

/// All services that workflows run with. It only holds them; cheap to clone.
///
/// [`Self::in_memory`] and `embedded` are complete; `with_…` replaces a service, before or between runs.
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
    /// The hooks.
    pub hook_dispatcher: Arc<HookDispatcher>,
    /// Who is told what happens.
    pub event_bus: Arc<EventBus>,
    /// States that outlive their runs.
    pub state_storage: Arc<dyn StateStorage>,
    /// Where the runs are, and their states.
    pub state_manager: Arc<StateManager>,
    /// Where the sessions are kept; those of [`Self::session_manager`].
    pub session_storage: Arc<dyn SessionStorage>,
    /// Looks after the sessions.
    pub session_manager: Arc<SessionManager>,
    /// Past runs by meaning.
    pub vector_storage: Arc<dyn VectorStorage>,
    /// Makes vectors of texts.
    pub embedding_service: Arc<dyn EmbeddingService>,
    /// The session that runs are started in.
    pub session_id: Option<String>,
    parking: Parking,
    made: Arc<Mutex<Option<CachedExecutor>>>,
}

/// The executor, and what it was made of.
struct CachedExecutor {
    executor: Executor,
    engine: Engine,
    hooks: Arc<HookDispatcher>,
    events: Arc<EventBus>,
    states: Arc<StateManager>,
    parking: Parking,
}

impl EnhancedExecutionContext {
    /// Everything in memory, no disk is touched: for tests, and for runs that need not outlive their process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryHome::new())
    }

    /// Runs and their states in the folder `path`, for one process at a time; sessions and vectors in memory.
    #[cfg(feature = "sled")]
    #[must_use]
    pub fn embedded(path: impl Into<std::path::PathBuf>) -> Self {
        Self::new(crate::FolderHome::embedded(path))
    }

    /// Runs and their states in `home`; sessions and vectors in memory, an engine without activities, no hooks.
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
            made: Arc::default(),
        }
    }

    /// The same with the activities, limits and secrets of `engine`.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { basic_context: ExecutionContext::new(engine), made: Arc::default(), ..self }
    }

    /// The same with these hooks, whose troubles are told to [`Self::event_bus`], and which know its correlations.
    #[must_use]
    pub fn with_hooks(self, hooks: impl FnOnce(HookDispatcherBuilder) -> HookDispatcherBuilder) -> Self {
        let events = (*self.event_bus).clone();
        let builder = HookDispatcher::builder().correlations(events.correlations().clone()).events(events);
        Self { hook_dispatcher: Arc::new(hooks(builder).build()), made: Arc::default(), ..self }
    }

    /// The same with this bus; to be said before [`Self::with_hooks`].
    #[must_use]
    pub fn with_events(self, events: EventBus) -> Self {
        Self { event_bus: Arc::new(events), made: Arc::default(), ..self }
    }

    /// The same with these sessions.
    #[must_use]
    pub fn with_sessions(self, sessions: Arc<dyn SessionStorage>) -> Self {
        Self { session_manager: Arc::new(SessionManager::new(sessions.clone())), session_storage: sessions, ..self }
    }

    /// The same with these vectors, and what makes them.
    #[must_use]
    pub fn with_vectors(self, vectors: Arc<dyn VectorStorage>, embeddings: Arc<dyn EmbeddingService>) -> Self {
        Self { vector_storage: vectors, embedding_service: embeddings, ..self }
    }

    /// The same, whose runs are started in a session.
    #[must_use]
    pub fn in_session(self, session_id: impl Into<String>) -> Self {
        Self { session_id: Some(session_id.into()), ..self }
    }

    /// The same, which lets waiting runs leave memory as `parking` says.
    #[must_use]
    pub fn with_parking(self, parking: Parking) -> Self {
        Self { parking, made: Arc::default(), ..self }
    }

    /// What runs definitions durably with these services; made anew where one of them is another one by now.
    #[must_use]
    pub fn executor(&self) -> Executor {
        let mut made = lock(&self.made);
        if let Some(made) = made.as_ref().filter(|made| self.is_of(made)) {
            return made.executor.clone();
        }
        let engine = self.basic_context.engine().clone();
        let home = self.state_manager.home().clone();
        let executor = Executor::with_services(home, &engine, self.services()).parking(self.parking);
        *made = Some(CachedExecutor {
            executor: executor.clone(),
            engine,
            hooks: self.hook_dispatcher.clone(),
            events: self.event_bus.clone(),
            states: self.state_manager.clone(),
            parking: self.parking,
        });
        executor
    }

    /// An engine with the hooks and the events, for runs in memory of which nothing is recorded.
    ///
    /// Steps are told of only if somebody is subscribed when their definition is prepared; those that nobody listens to
    /// and no hook concerns cost what they cost in the engine alone.
    #[must_use]
    pub fn engine(&self) -> Engine {
        around(self.basic_context.engine(), &self.services())
    }

    fn services(&self) -> Services {
        Services { hooks: Some(self.hook_dispatcher.clone()), events: Some((*self.event_bus).clone()) }
    }

    fn is_of(&self, made: &CachedExecutor) -> bool {
        made.engine.is_same(self.basic_context.engine())
            && Arc::ptr_eq(&made.hooks, &self.hook_dispatcher)
            && Arc::ptr_eq(&made.events, &self.event_bus)
            && Arc::ptr_eq(&made.states, &self.state_manager)
            && made.parking == self.parking
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
