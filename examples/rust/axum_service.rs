//! Durable runs inside of an axum service.
//!
//! ```console
//! $ cargo run --example axum_service
//! $ curl -X POST localhost:8080/orders -H 'content-type: application/json' -d '{"amount": 12}'
//! $ curl localhost:8080/orders/RUN
//! $ curl -X POST localhost:8080/orders/RUN/approval -H 'content-type: application/json' -d '{"by": "Ada"}'
//! ```
//!
//! Each order is a run that charges, waits for an approval and ships. Ctrl-C or SIGTERM ends the service: requests that
//! are being answered are finished, runs stop after the step they are at. Started again, it resumes all of them. After a
//! kill it does, too.
//!
//! `axum_service ADDRESS FOLDER` says where to listen and where to keep the runs.

use std::{
    collections::HashMap,
    env,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use llmspell_workflows::{
    Engine, RunStatus, WorkflowInput,
    activity::{Activities, function},
    advanced::{DurableRun, Executor, ExecutorError, Home, Message, RunQuery, StartOptions},
    model::{Definition, Step, StepKind, WaitForEvent},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How many runs it resumes when it starts.
const RUNS_MAX: usize = 10_000;

/// What an order goes through.
fn order() -> Definition {
    let approval = WaitForEvent { event: "approved".into(), ..WaitForEvent::default() };
    Definition::sequence(
        "order",
        [
            Step::function("charge", "charge", json!({"amount": "{{ amount }}"})),
            Step::new("approval", StepKind::WaitForEvent(approval)),
            Step::function("ship", "ship", json!({"receipt": "{{ charge.receipt }}", "by": "{{ approval.data.by }}"})),
        ],
    )
}

/// What the steps do; a real service would call others here.
fn activities() -> Activities {
    let mut activities = Activities::new();
    let charge = function(|call| async move {
        println!("charging {}", call.input()["amount"]);
        // The key is the same when the step runs again, so the payment service can tell.
        Ok(json!({"receipt": call.idempotency_key()}))
    });
    activities.register("function", "charge", charge);
    activities.register("function", "ship", function(|call| async move { Ok(json!({"shipped": call.input()["by"]})) }));
    activities
}

/// The runs of this service.
#[derive(Clone)]
struct Orders {
    executor: Executor,
    driven: Arc<Mutex<HashMap<Uuid, DurableRun>>>,
    tasks: TaskTracker,
}

impl Orders {
    /// Opens the runs in `folder`, and resumes those that have not ended.
    async fn open(folder: &str) -> Result<Self, ExecutorError> {
        let executor = Executor::new(Home::new(folder), Engine::builder().activities(activities()));
        let orders = Self { executor, driven: Arc::default(), tasks: TaskTracker::new() };
        let statuses = RunStatus::ALL.into_iter().filter(|status| !status.has_ended()).collect();
        let unfinished = RunQuery { statuses, limit: RUNS_MAX, ..RunQuery::default() };
        for run in orders.executor.home().runs(&unfinished)? {
            println!("resuming {}", run.id());
            orders.drive(orders.executor.resume(&run).await?);
        }
        Ok(orders)
    }

    /// Drives a run in a task of its own, whatever becomes of the request that started it.
    fn drive(&self, run: DurableRun) {
        let (orders, id) = (self.clone(), run.id());
        orders.runs().insert(id, run.clone());
        self.tasks.spawn(async move {
            if let Err(error) = orders.executor.finish(run).await {
                eprintln!("{id}: {error}");
            }
            orders.runs().remove(&id);
        });
    }

    /// Pauses all runs, and waits until the steps that they are at have ended.
    async fn shut_down(&self) {
        self.runs().values().for_each(DurableRun::pause);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Uuid, DurableRun>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /orders`: starts a run, and answers once its start is recorded.
async fn create(State(orders): State<Orders>, Json(input): Json<Value>) -> Result<Response, Failure> {
    let run = orders.executor.start(order(), WorkflowInput::new(input), StartOptions::default()).await?;
    let id = run.id();
    orders.drive(run);
    Ok((StatusCode::CREATED, Json(json!({"run": id}))).into_response())
}

/// `GET /orders/{run}`: how far it has come.
async fn show(State(orders): State<Orders>, Path(run): Path<String>) -> Result<Json<Value>, Failure> {
    let home = orders.executor.home().clone();
    // Reading a run reads a disk.
    let shown = tokio::task::spawn_blocking(move || {
        let run = home.find(&run)?;
        let history = home.history(&run)?;
        let steps: Vec<_> =
            history.steps.iter().map(|step| json!({"path": step.path, "status": step.status()})).collect();
        Ok::<_, ExecutorError>(json!({"run": run.id(), "status": run.status(), "steps": steps}))
    });
    Ok(Json(shown.await??))
}

/// `POST /orders/{run}/approval`: the event that the run waits for; the body comes with it.
async fn approve(
    State(orders): State<Orders>,
    Path(run): Path<String>,
    Json(payload): Json<Value>,
) -> Result<StatusCode, Failure> {
    let home = orders.executor.home().clone();
    let posted = tokio::task::spawn_blocking(move || {
        let run = home.find(&run)?;
        home.post(&run, &Message::Signal { name: "approved".into(), payload })
    });
    posted.await??;
    Ok(StatusCode::ACCEPTED)
}

/// Why a request was refused.
struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.downcast_ref::<ExecutorError>() {
            Some(ExecutorError::UnknownRun(_)) => StatusCode::NOT_FOUND,
            Some(ExecutorError::Ended { .. }) => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

/// Ends on Ctrl-C and on SIGTERM.
async fn stopped() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let folder = arguments.next().unwrap_or_else(|| "target/axum_service".to_owned());

    let orders = Orders::open(&folder).await?;
    let routes = Router::new()
        .route("/orders", post(create))
        .route("/orders/{run}", get(show))
        .route("/orders/{run}/approval", post(approve))
        .with_state(orders.clone());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes).with_graceful_shutdown(stopped()).await?;
    orders.shut_down().await;
    println!("stopped");
    Ok(())
}
