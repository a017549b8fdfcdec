use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64},
    },
};

use tracing::{Instrument, Level};
use uuid::Uuid;

use super::{
    Cancel, Children, Dispatch, Driven, Happening, InProcess, Interceptor, Outcome, Position, Resume, Run, RunOptions,
    SchemaCheck, SharedLimits, Stack, Timers, UndoableStep, branches::Branches, mailbox::Mailbox, permits::Permits,
    record::Records, run_clock::RunClock,
};
use crate::{
    Clock, Limits, Problem, StepError, StepPath, SystemClock,
    activity::{Activities, OutputSink},
    functions::Functions,
    model::Definition,
    plan::{Builder, Invalid, Plan},
    secrets::Masker,
    state::Change,
    targets,
    workflow::{Finished, WorkflowInput},
};

/// Runs definitions; cheap to clone.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use llmspell_workflows_basic::{Engine, WorkflowInput, activity::{Activities, function}, model::{Definition, Step}};
/// use serde_json::json;
///
/// let mut activities = Activities::new();
/// activities.register("function", "double", function(|context| async move {
///     Ok(json!(context.input()["n"].as_i64().unwrap_or(0) * 2))
/// }));
/// let engine = Engine::builder().activities(activities).build();
///
/// let definition = Definition::sequence("twice", [
///     Step::function("once", "double", json!({"n": "{{ start }}"})),
///     Step::function("again", "double", json!({"n": "{{ once }}"})),
/// ]);
/// let finished = engine.run(definition, WorkflowInput::new(json!({"start": 3}))).await?;
/// assert_eq!(finished.output, json!(12).into());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) activities: Activities,
    pub(super) functions: Functions,
    pub(super) stack: Stack,
    /// Executes leaves; if `None`, leaves run in this process, in the task of their branch.
    pub(super) dispatch: Option<Arc<dyn Dispatch>>,
    pub(super) timers: Arc<dyn Timers>,
    pub(super) children: Arc<dyn Children>,
    pub(super) shared_limits: Arc<dyn SharedLimits>,
    pub(super) workflows: BTreeMap<String, Arc<Definition>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) schemas: Option<Arc<dyn SchemaCheck>>,
    /// Sinks that receive the output of steps while they run.
    pub(super) output_sinks: Vec<Arc<dyn OutputSink>>,
    pub(super) limits: Limits,
    pub(super) env: HashMap<String, String>,
    pub(super) secrets: HashMap<String, String>,
    /// Created from `secrets` when the engine is built.
    pub(super) masker: Masker,
    pub(super) concurrency: BTreeMap<String, u32>,
    /// Created from `concurrency` when the engine is built.
    pub(super) permits: Arc<Permits>,
}

/// Builds an [`Engine`]; every setting has a default.
#[derive(Clone)]
pub struct EngineBuilder(pub(super) Inner);

impl Engine {
    /// Returns a builder.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder(Inner {
            activities: Activities::new(),
            functions: Functions::default(),
            stack: Stack::new(),
            dispatch: None,
            timers: Arc::new(InProcess),
            children: Arc::new(InProcess),
            shared_limits: Arc::new(InProcess),
            workflows: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            schemas: None,
            output_sinks: Vec::new(),
            limits: Limits::default(),
            env: HashMap::new(),
            secrets: HashMap::new(),
            masker: Masker::default(),
            concurrency: BTreeMap::new(),
            permits: Arc::default(),
        })
    }

    /// Returns the same engine with additional functions.
    #[must_use]
    pub fn with_functions(&self, functions: Functions) -> Self {
        let mut inner = (*self.0).clone();
        inner.functions.extend(functions);
        Self(Arc::new(inner))
    }

    /// Returns the same engine with an additional interceptor. If two interceptors have the same
    /// position, the one added first is the outer one.
    #[must_use]
    pub fn with_interceptor(&self, position: Position, interceptor: impl Interceptor + 'static) -> Self {
        let mut inner = (*self.0).clone();
        inner.stack = inner.stack.with(position, Arc::new(interceptor));
        Self(Arc::new(inner))
    }

    /// Returns whether `self` and `other` are clones of the same engine.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the same engine with `children` as the service that runs sub-workflows.
    #[must_use]
    pub fn with_children(&self, children: impl Children + 'static) -> Self {
        let mut inner = (*self.0).clone();
        inner.children = Arc::new(children);
        Self(Arc::new(inner))
    }

    /// Returns the same engine, with `limits` counting the holders of named
    /// limits across all processes.
    #[must_use]
    pub fn with_shared_limits(&self, limits: impl SharedLimits + 'static) -> Self {
        let mut inner = (*self.0).clone();
        inner.shared_limits = Arc::new(limits);
        Self(Arc::new(inner))
    }

    /// Prepares `definition` to run.
    ///
    /// # Errors
    /// Returns all problems in the definition if one of them is an error.
    pub fn prepare(&self, definition: impl Into<Arc<Definition>>) -> Result<Arc<Plan>, Invalid> {
        Builder::plan(self, definition.into()).map(Arc::new)
    }

    /// Returns all problems in `definition`, including warnings.
    #[must_use]
    pub fn validate(&self, definition: impl Into<Arc<Definition>>) -> Vec<Problem> {
        Builder::run(self, definition.into()).1
    }

    /// Starts a run of `plan`, to be driven by [`Self::drive`].
    ///
    /// # Errors
    /// Fails if the input does not match the declared inputs, or if a variable cannot be computed.
    pub fn start(&self, plan: &Arc<Plan>, input: WorkflowInput, options: &RunOptions) -> Result<Arc<Run>, StepError> {
        let masked = |error| self.0.masker.masked_error(error);
        let input = input.declared(&plan.definition).map_err(masked)?;
        let resume = options.resume.clone().unwrap_or_else(|| Resume::new(Uuid::now_v7(), self.clock().now()));
        let picked = |names: &[String], from: &HashMap<String, String>| {
            names.iter().filter_map(|name| Some((name.clone(), from.get(name)?.clone().into()))).collect()
        };
        if let Some(id) = input.starting_step.as_deref().filter(|_| plan.root.body.list().is_none()) {
            let message = format!("cannot start at `{id}`: the workflow is not a step list");
            return Err(StepError::validation("unknown_starting_step", message));
        }
        let definition = plan.definition.clone();
        let runs_once = |path: &StepPath| plan.step(path).is_some_and(|step| step.at_most_once);
        let interrupted = resume.interrupted.into_iter().filter(runs_once);
        let unsettled = resume.open_children.into_iter().chain(interrupted).collect();
        let run = Run {
            id: resume.run_id,
            started_at: resume.started_at,
            is_new: resume.last_record <= resume.started_at,
            clock: RunClock::new(self.0.clock.clone(), resume.last_record, resume.clock_ahead),
            engine: self.clone(),
            plan: plan.clone(),
            input,
            variables: indexmap::IndexMap::new(),
            variable_env: BTreeMap::new(),
            env: picked(&definition.env, &self.0.env),
            secrets: picked(&definition.secrets, &self.0.secrets),
            masker: self.masker_for(&definition)?,
            cancel: Cancel::root(),
            cleanup: Cancel::root(),
            has_ended_root: AtomicBool::new(false),
            cuts: resume.cuts,
            undoes_ended: AtomicBool::new(false),
            ended_children: Mutex::default(),
            timeout: options.timeout,
            given_limit: OnceLock::new(),
            unsettled,
            records: Arc::new(Mutex::new(Records::new(plan.clone()))),
            warnings: Mutex::default(),
            retries_left: definition.retry_budget.map(|budget| AtomicI64::new(budget.into())),
            generations: Mutex::new(resume.generations),
            root_scope: Mutex::new(None),
            shares: self.0.permits.shares(&plan.definition),
            extensions: options.extensions.clone(),
            branches: Branches::new(),
            mailbox: Mailbox::after(resume.received),
            undos: Mutex::default(),
            depth: options.depth,
            reentered: resume.reentered,
            inputs: resume.inputs,
            first_state: resume.state.into_iter().map(|(key, value)| Change::key(key, value)).collect(),
            emitted_events: AtomicU64::new(0),
            output_bytes: AtomicU64::new(resume.output_bytes),
        };
        for step in resume.undoable {
            match step {
                UndoableStep::Step(path, input, outcome) => run.record_undoable(path, input, &outcome),
                UndoableStep::Child(path, child, outcome) => run.record_undoable_child(path, child, &outcome),
            }
        }
        for (path, input) in resume.cut_off {
            run.record_cut_off(path, input);
        }
        run.remove_undone(&resume.undone);
        run.restore_progress(resume.cancel);
        run.with_variables(options.environment.as_deref(), resume.env).map(Arc::new).map_err(masked)
    }

    /// Drives `run` until it ends or all of its active branches wait.
    ///
    /// Dropping the future has the same effect on the run as a crash: nothing is cancelled or
    /// recorded. To stop the run properly, call [`Run::cancel`] or [`Run::shut_down`] and wait.
    pub async fn drive(&self, run: &Arc<Run>) -> Driven {
        if !tracing::enabled!(target: targets::RUN, Level::INFO) {
            return self.drive_untraced(run).await;
        }
        let (workflow, version) = (&run.definition().name, &run.definition().version);
        let span = tracing::info_span!(target: targets::RUN, "run", %workflow, %version, run = %run.id());
        async {
            tracing::info!(target: targets::RUN, "started");
            let driven = self.drive_untraced(run).await;
            let status = match &driven {
                Driven::Done(finished) => finished.status.as_str(),
                Driven::Parked(_) => "waiting",
                Driven::Stuck { .. } => "stuck",
            };
            tracing::info!(target: targets::RUN, "{status}");
            driven
        }
        .instrument(span)
        .await
    }

    async fn drive_untraced(&self, run: &Arc<Run>) -> Driven {
        self.stack().observe(run, Happening::Begins);
        run.warn_about_clock();
        run.warn_about_differing_limits();
        run.warn_about_missing_fields();
        let outcome = run.execute_root().await;
        let outcome = match run.stuck_if_undo_failed(outcome) {
            Outcome::Parked(wait) => Outcome::Parked(run.clock().wait_to_engine(wait)),
            outcome => outcome,
        };
        self.stack().observe(run, Happening::Ends(&outcome));
        match outcome {
            Outcome::Parked(wait) => Driven::Parked(wait),
            Outcome::Stuck(steps) => {
                Driven::Stuck { so_far: Box::new(Finished::new(run, Outcome::Stuck(steps.clone()))), steps }
            }
            outcome => Driven::Done(Box::new(Finished::new(run, outcome))),
        }
    }

    /// Prepares `definition` and runs it to its end.
    ///
    /// # Errors
    /// Fails if the definition or its input is invalid. The error of a failed run is in [`Finished::error`].
    pub async fn run(
        &self,
        definition: impl Into<Arc<Definition>>,
        input: WorkflowInput,
    ) -> Result<Finished, crate::WorkflowError> {
        let plan = self.prepare(definition)?;
        self.run_plan(&plan, input).await
    }

    /// Runs `plan` to its end.
    ///
    /// # Errors
    /// Fails if the input is invalid, or if the run parks, since only an executor can wake it. A stuck run is not an
    /// error.
    pub async fn run_plan(&self, plan: &Arc<Plan>, input: WorkflowInput) -> Result<Finished, crate::WorkflowError> {
        let run = self.start(plan, input, &RunOptions::default())?;
        match self.drive_alone(&run).await {
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => Ok(*finished),
            Driven::Parked(wait) => Err(crate::WorkflowError::Parked(wait)),
        }
    }

    /// Returns the engine's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns the engine's registry of activities.
    #[must_use]
    pub fn activities(&self) -> &Activities {
        &self.0.activities
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.0.functions
    }

    pub(crate) fn stack(&self) -> &Stack {
        &self.0.stack
    }

    pub(crate) fn dispatch(&self) -> Option<&dyn Dispatch> {
        self.0.dispatch.as_deref()
    }

    pub(crate) fn timers(&self) -> &dyn Timers {
        &*self.0.timers
    }

    pub(crate) fn children(&self) -> &dyn Children {
        &*self.0.children
    }

    pub(crate) fn workflows(&self) -> &BTreeMap<String, Arc<Definition>> {
        &self.0.workflows
    }

    /// Returns the engine's clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn schemas(&self) -> Option<&dyn SchemaCheck> {
        self.0.schemas.as_deref()
    }

    /// Returns the service that counts the holders of named limits across all processes.
    pub(super) fn shared_limits(&self) -> &dyn SharedLimits {
        &*self.0.shared_limits
    }

    /// Returns the engine's named concurrency limits.
    pub(crate) fn permits(&self) -> &Permits {
        &self.0.permits
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("activities", &self.0.activities)
            .field("stack", &self.0.stack)
            .finish_non_exhaustive()
    }
}
