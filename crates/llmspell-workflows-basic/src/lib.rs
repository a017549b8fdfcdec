//! The model, the engine and the patterns of llmspell-workflows.
//!
//! A workflow is data: a [`model::Definition`] of steps. An [`Engine`] checks it and runs it, in memory and without any
//! rule about determinism: every step goes one way, through a stack of interceptors, and every choice that a run makes
//! can be recorded and answered again. That is what durability, hooks and other machines are built on, in crates of
//! their own; this one has no files, no network and no storage.
//!
//! - [`model`]: definitions as data, and the constructors that make them.
//! - [`Engine`]: prepares and drives; [`engine`] has its seams.
//! - [`activity`]: leaf work with effects, and where it is found.
//! - [`expr`]: conditions and templates.
//! - [`state`]: what a run remembers.
//! - [`SequentialWorkflow`] and the other builders; [`BasicWorkflow`] for workflows written as code.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use llmspell_workflows_basic::{Engine, WorkflowInput, activity::{Activities, function}, model::{Definition, Step}};
//! use serde_json::json;
//!
//! let mut activities = Activities::new();
//! activities.register("tool", "greet", function(|call| async move {
//!     Ok(json!(format!("Hello, {}", call.input()["name"].as_str().unwrap_or("whoever you are"))))
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
mod clock;
pub mod engine;
mod error;
pub mod expr;
mod functions;
mod layers;
mod leaves;
mod limits;
pub mod model;
mod nearest;
mod path;
mod patterns;
mod plan;
mod problem;
pub mod state;
pub mod sync;
pub mod targets;
mod workflow;

pub use clock::{Clock, SystemClock};
pub use engine::{Driven, Engine, EngineBuilder, Run, RunOptions};
pub use error::{ErrorClass, StepError};
pub use functions::{Aggregate, Functions, Migrate, Resolve};
pub use limits::Limits;
pub use nearest::nearest;
pub use path::{PathError, PathLink, Segment, StepId, StepPath};
pub use patterns::BranchResult;
pub use plan::{Invalid, Order, Plan};
pub use problem::{Place, Problem, Severity};
pub use state::WorkflowState;
pub use workflow::*;
