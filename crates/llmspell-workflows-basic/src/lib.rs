//! The model, the engine and the patterns of llmspell-workflows.
//!
//! A workflow is data: a [`model::Definition`] of steps. An [`Engine`] validates and runs it, in
//! memory and without determinism rules: every step passes through one stack of interceptors, and
//! every decision of a run can be recorded and replayed. Other crates add durability, hooks and
//! distribution; this crate does not access files, the network or storage.
//!
//! - [`model`]: definitions as data, and their constructors.
//! - [`Engine`]: prepares and drives runs; [`engine`] contains its extension points.
//! - [`activity`]: the work of leaf steps with effects, and a registry for it.
//! - [`expr`]: conditions and templates.
//! - [`state`]: the state of a run.
//! - [`SequentialWorkflow`] and the other builders; [`BasicWorkflow`] for workflows written as code.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use llmspell_workflows_basic::{Engine, WorkflowInput, activity::{Activities, function}, model::{Definition, Step}};
//! use serde_json::json;
//!
//! let mut activities = Activities::new();
//! activities.register("tool", "greet", function(|call| async move {
//!     Ok(json!(format!("Hello, {}", call.input()["name"].as_str().unwrap_or("stranger"))))
//! }));
//!
//! let definition = Definition::sequence("greeting", [
//!     Step::tool("greet", "greet", json!({"name": "{{ user.name }}"})),
//! ]);
//! let engine = Engine::builder().activities(activities).build();
//! let finished = engine.run(definition, WorkflowInput::new(json!({"user": {"name": "Ada"}}))).await?;
//! assert_eq!(*finished.output, json!("Hello, Ada"));
//! # Ok::<(), llmspell_workflows_basic::WorkflowError>(()) }).unwrap();
//! ```

pub mod activity;
mod bytes;
mod clock;
pub mod engine;
mod error;
pub mod expr;
mod functions;
mod json;
mod layers;
mod leaves;
mod limits;
pub mod model;
mod nearest;
mod path;
mod patterns;
mod plan;
mod problem;
pub mod secrets;
mod shape;
pub mod state;
pub mod sync;
pub mod targets;
mod workflow;

pub use bytes::BytesForm;
pub use clock::{Clock, SystemClock};
pub use engine::{Driven, Engine, EngineBuilder, Run, RunOptions};
pub use error::{ErrorClass, StepError};
pub use functions::{Aggregate, Functions, Migrate, Resolve};
pub use json::{JsonError, is_exact, parse_json, parse_json_bytes, parse_json_exactly};
pub use limits::Limits;
pub use nearest::nearest;
pub use path::{PathError, PathLink, Segment, StepId, StepPath};
pub use patterns::BranchResult;
pub use plan::{Invalid, Order, Plan, UnmetRead};
pub use problem::{Problem, ProblemLocation, Severity};
pub use state::WorkflowState;
pub use workflow::*;
