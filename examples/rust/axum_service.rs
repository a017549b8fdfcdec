//! Durable runs in an axum service.
//!
//! ```console
//! $ cargo run --example axum_service
//! $ curl -X POST localhost:8080/orders -H 'content-type: application/json' -d '{"amount": 12}'
//! $ curl localhost:8080/orders/RUN
//! $ curl -X POST localhost:8080/orders/RUN/approval -H 'content-type: application/json' -d '{"by": "Ada"}'
//! ```
//!
//! Each order is a run that charges, waits for an approval and ships. On Ctrl-C or SIGTERM, the
//! service finishes the requests in progress, and its runs stop after their current steps. On the
//! next start, the service resumes all of its runs, even after a kill.
//!
//! The arguments are the address to listen on and the folder of the store:
//! `axum_service ADDRESS FOLDER`.

use std::{env, error::Error, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use llmspell_workflows::{
    Engine, WorkflowInput,
    activity::{Activities, function},
    advanced::{Executor, ExecutorError, FolderHome, Message, RunHandle, StartOptions},
    model::{Definition, Step, StepKind, WaitForEvent},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// The time that running steps have to finish when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// The workflow of an order.
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

/// The activities of the steps; a real service would call other services here.
fn activities() -> Activities {
    let mut activities = Activities::new();
    let charge = function(|call| async move {
        println!("charging {}", call.input()["amount"]);
        // The key is the same if the step runs again, so the payment service can detect the repetition.
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
}

impl Orders {
    /// Opens the store in `folder`, and resumes unowned runs.
    async fn open(folder: &str) -> Result<Self, ExecutorError> {
        let executor = Executor::new(FolderHome::new(folder), Engine::builder().activities(activities()));
        let recovered = executor.recover().await?;
        for run in recovered.runs {
            println!("resuming {}", run.id());
            report_error(run);
        }
        for (run, error) in recovered.failed {
            eprintln!("{} cannot be resumed: {error}", run.id());
        }
        Ok(Self { executor })
    }
}

/// Reports the error if the run's journal fails; every other result is recorded in the journal.
fn report_error(run: RunHandle) {
    let id = run.id();
    tokio::spawn(async move {
        if let Err(error) = run.await {
            eprintln!("{id}: {error}");
        }
    });
}

/// `POST /orders`: starts a run, and responds once its start is recorded.
async fn create(State(orders): State<Orders>, Json(input): Json<Value>) -> Result<Response, Failure> {
    let run = orders.executor.start(order(), WorkflowInput::new(input), StartOptions::default()).await?;
    let id = run.id();
    // The run is driven in its own task, independently of the request.
    report_error(orders.executor.spawn(run));
    Ok((StatusCode::CREATED, Json(json!({"run": id}))).into_response())
}

/// `GET /orders/{run}`: reports the progress of the run.
async fn show(State(orders): State<Orders>, Path(run): Path<String>) -> Result<Json<Value>, Failure> {
    let home = orders.executor.home();
    let run = home.find(&run).await?;
    let history = home.history(&run).await?;
    let steps: Vec<_> = history.steps.iter().map(|step| json!({"path": step.path, "status": step.status()})).collect();
    Ok(Json(json!({"run": run.id(), "status": run.status(), "steps": steps})))
}

/// `POST /orders/{run}/approval`: sends the event awaited by the run, with the body as its data.
async fn approve(
    State(orders): State<Orders>,
    Path(run): Path<String>,
    Json(payload): Json<Value>,
) -> Result<StatusCode, Failure> {
    let home = orders.executor.home();
    let run = home.find(&run).await?;
    home.post(&run, &Message::Signal { name: "approved".into(), payload }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// An error response.
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

/// Completes on Ctrl-C or SIGTERM.
async fn shutdown_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
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
    axum::serve(listener, routes).with_graceful_shutdown(shutdown_signal()).await?;
    orders.executor.shut_down(GRACE).await;
    println!("stopped");
    Ok(())
}
