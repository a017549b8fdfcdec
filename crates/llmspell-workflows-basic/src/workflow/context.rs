use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::WorkflowError;
use crate::{
    Engine, StepError, StepId,
    activity::Activity,
    engine::{Call, Cancelled, Outcome, UnfinishedSteps, choice, execute},
    model::{Delay, OnError, Step},
    plan::Node,
    secrets::Masker,
    state::{Change, WorkflowState},
    sync::lock,
};

/// The context of a workflow: the engine and, while the workflow runs, the run.
#[derive(Clone)]
pub struct ExecutionContext {
    engine: Engine,
    run: Option<Arc<CodeRun>>,
}

/// The state of a run of code.
struct CodeRun {
    call: Call,
    steps: Mutex<HashMap<String, Memo>>,
    state: Mutex<(Arc<WorkflowState>, Vec<Change>)>,
    unfinished: Mutex<UnfinishedSteps>,
    /// Set if steps were cancelled; contains the activities that had to be aborted.
    cancelled: Mutex<Option<Cancelled>>,
    times: AtomicU64,
    numbers: AtomicU64,
}

enum Memo {
    InFlight,
    /// The step ended with this output or error, as a journal would return it on replay.
    Done {
        input: String,
        result: Result<Value, StepError>,
    },
}

impl ExecutionContext {
    /// Creates a context that runs workflows on `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, run: None }
    }

    pub(crate) fn inside(call: Call) -> Self {
        let engine = call.run().engine().clone();
        let state = Mutex::new((call.context.state.clone(), Vec::new()));
        let inside = CodeRun {
            call,
            steps: Mutex::new(HashMap::new()),
            state,
            unfinished: Mutex::default(),
            cancelled: Mutex::new(None),
            times: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
        };
        Self { engine, run: Some(Arc::new(inside)) }
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Performs `activity` once, as the step `id`. If the step's completion is already recorded, returns the recorded
    /// output.
    ///
    /// # Errors
    /// Returns the activity's error, or `journal_mismatch` if the step was performed before with a different input.
    /// Also returns an error if the id is invalid, or if another step with
    /// the same id is in flight.
    pub async fn step(
        &self,
        id: &str,
        input: impl Into<Value>,
        activity: impl Activity + 'static,
    ) -> Result<Value, WorkflowError> {
        self.step_as(Step::activity(id, "code", id, Value::Null), input.into(), Arc::new(activity)).await
    }

    /// Like [`Self::step`], but uses the settings of `step`, such as retries and timeouts.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::step`].
    pub async fn step_as(&self, step: Step, input: Value, activity: Arc<dyn Activity>) -> Result<Value, WorkflowError> {
        let inside = self.run()?;
        let id = StepId::new(&step.id).map_err(|error| StepError::configuration("invalid_id", error.to_string()))?;
        let hash = hash(&input, inside.call.run().masker());
        if let Some(result) = inside.begin(id.as_str(), &hash)? {
            return Ok(result?);
        }
        let result = inside.perform(id.clone(), step, input, &hash, activity).await;
        inside.end(id.as_str(), hash, &result);
        result
    }

    /// Returns the current time and records it, so that a resumed run gets the same time.
    ///
    /// # Errors
    /// Returns an error outside a run, or if an interceptor rejects the decision.
    pub async fn now(&self) -> Result<Timestamp, WorkflowError> {
        let inside = self.run()?;
        let index = inside.times.fetch_add(1, Ordering::Relaxed);
        Ok(inside.call.decide(choice::Now(index), inside.call.run().now()).await?)
    }

    /// Returns a random number and records it, so that a resumed run gets the same number.
    ///
    /// # Errors
    /// Returns an error outside a run, or if an interceptor rejects the decision.
    pub async fn random(&self) -> Result<u64, WorkflowError> {
        let inside = self.run()?;
        let index = inside.numbers.fetch_add(1, Ordering::Relaxed);
        let number = Uuid::now_v7().as_u64_pair();
        let mut digest = Sha256::digest(format!("{}{}", number.0, number.1)).into_iter();
        let fresh = (0..8).fold(0u64, |bits, _| (bits << 8) | u64::from(digest.next().unwrap_or_default()));
        Ok(inside.call.decide(choice::Random(index), fresh).await?)
    }

    /// Returns a new UUID and records it, so that a resumed run gets the same UUID.
    ///
    /// # Errors
    /// Returns an error outside a run, or if an interceptor rejects the decision.
    pub async fn uuid(&self) -> Result<Uuid, WorkflowError> {
        let (high, low) = (self.random().await?, self.random().await?);
        Ok(uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid())
    }

    /// Returns the current state of the run, as the code sees it.
    ///
    /// # Errors
    /// Returns an error outside a run.
    pub fn state(&self) -> Result<WorkflowState, WorkflowError> {
        let inside = self.run()?;
        let state = lock(&inside.state);
        Ok((*state.0).clone())
    }

    /// Takes the code's remaining results: state changes, waiting and stuck steps, and the
    /// cancellation of a step.
    pub(crate) fn conclude(&self) -> (Vec<Change>, UnfinishedSteps, Option<Cancelled>) {
        let Some(inside) = &self.run else { return (Vec::new(), UnfinishedSteps::default(), None) };
        let changes = std::mem::take(&mut lock(&inside.state).1);
        (changes, std::mem::take(&mut *lock(&inside.unfinished)), lock(&inside.cancelled).take())
    }

    fn run(&self) -> Result<&Arc<CodeRun>, StepError> {
        self.run.as_ref().ok_or_else(|| {
            let message = "the context is outside a run: start the workflow with `Engine::run_code`";
            StepError::configuration("outside_of_run", message)
        })
    }
}

impl CodeRun {
    /// Claims the step `id`; returns the result if the step has already ended.
    fn begin(&self, id: &str, hash: &str) -> Result<Option<Result<Value, StepError>>, StepError> {
        let mut steps = lock(&self.steps);
        match steps.get(id) {
            None => {
                steps.insert(id.to_owned(), Memo::InFlight);
                Ok(None)
            }
            Some(Memo::InFlight) => {
                let message = format!("another step `{id}` is in flight; give each step its own id");
                Err(StepError::configuration("step_in_flight", message).at(self.call.path().child_text(id)))
            }
            Some(Memo::Done { input, result }) if input == hash => Ok(Some(result.clone())),
            Some(Memo::Done { .. }) => Err(mismatch(id).at(self.call.path().child_text(id))),
        }
    }

    fn end(&self, id: &str, input: String, result: &Result<Value, WorkflowError>) {
        let mut steps = lock(&self.steps);
        match result {
            Ok(output) => steps.insert(id.to_owned(), Memo::Done { input, result: Ok(output.clone()) }),
            Err(WorkflowError::Failed(error)) => {
                steps.insert(id.to_owned(), Memo::Done { input, result: Err(error.clone()) })
            }
            Err(_) => steps.remove(id),
        };
    }

    async fn perform(
        &self,
        id: StepId,
        step: Step,
        input: Value,
        hash: &str,
        activity: Arc<dyn Activity>,
    ) -> Result<Value, WorkflowError> {
        check_settings(&step)?;
        let node = Arc::new(Node::code_step(self.call.run(), id.clone(), step, activity));
        let state = lock(&self.state).0.clone();
        let call = Call::new(Arc::new(self.call.inside(None, state)), &node).with_input(input);
        if call.decide(choice::Input, hash.to_owned()).await? != hash {
            return Err(mismatch(id.as_str()).at(call.path()).into());
        }
        match execute(call).await {
            Outcome::Completed(output) => {
                let mut state = lock(&self.state);
                for change in output.state_changes {
                    let applied = Arc::make_mut(&mut state.0).apply(change.clone(), self.call.run().now());
                    applied.map_err(|error| StepError::validation("state_blocked", error.to_string()))?;
                    state.1.push(change);
                }
                Ok(output.value.into_value())
            }
            Outcome::Skipped(_) => Ok(Value::Null),
            Outcome::Failed(failure) if failure.handled => Ok(Value::Null),
            Outcome::Failed(failure) => Err(WorkflowError::Failed(*failure.error)),
            Outcome::Cancelled(cancelled) => {
                let error = WorkflowError::Cancelled(cancelled.to_error().message);
                match &mut *lock(&self.cancelled) {
                    Some(all) => all.absorb(*cancelled),
                    none => *none = Some(*cancelled),
                }
                Err(error)
            }
            Outcome::Parked(wait) => {
                lock(&self.unfinished).take(Outcome::Parked(wait.clone()));
                Err(WorkflowError::Parked(wait))
            }
            Outcome::Stuck(steps) => {
                lock(&self.unfinished).take(Outcome::Stuck(steps.clone()));
                Err(WorkflowError::Stuck(steps))
            }
        }
    }
}

/// Rejects settings that are not supported for steps in code.
fn check_settings(step: &Step) -> Result<(), StepError> {
    let computed = |delay: &Option<Delay>| matches!(delay, Some(Delay::Expression(_)));
    let unsupported = [
        ("condition", step.condition.is_some()),
        ("dependencies", !step.dependencies.is_empty()),
        ("next", !step.next.is_empty()),
        ("on_error", matches!(step.on_error, OnError::Steps(_))),
        ("timeout", computed(&step.timeout)),
        ("total_timeout", computed(&step.total_timeout)),
    ];
    let Some((field, _)) = unsupported.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
    let message =
        format!("`{field}` of the step `{}` is not supported in code; express it in the code itself", step.id);
    Err(StepError::configuration("unsupported_setting", message))
}

fn mismatch(id: &str) -> StepError {
    let message = format!(
        "the step `{id}` ran before with a different input: the control flow of the code may depend only on the \
         results of steps and the context's `now`, `random` and `uuid`"
    );
    StepError::configuration("journal_mismatch", message)
}

/// Returns a fingerprint of an input. The fingerprint is recorded, so it must not depend on the
/// values of secrets.
fn hash(input: &Value, masker: &Masker) -> String {
    if masker.find_in(input).is_some() {
        let mut shown = input.clone();
        masker.mask(&mut shown);
        return hash(&shown, &Masker::default());
    }
    Sha256::digest(input.to_string()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for ExecutionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(inside) => write!(f, "ExecutionContext in {:?}", inside.call),
            None => f.write_str("ExecutionContext"),
        }
    }
}
