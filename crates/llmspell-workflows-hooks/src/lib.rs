//! Hooks and events for llmspell-workflows.
//!
//! A **hook** is user code that is called at a point in a run and can change the course of the run:
//! it can change an input or output, or skip, replace, retry, redirect, fork or cancel. The point
//! determines the type of the answer, so an answer that does not fit does not compile. Answers are
//! recorded, so a run that resumes after a crash does not call the hook again. A hook that fails,
//! hangs, blocks or panics is reported and costs at most its timeout.
//!
//! An **event** tells subscribers what happened in a run; the run never waits for subscribers.
//!
//! - [`point`]: the points at which hooks are called; [`answer`]: the answers that fit each point.
//! - [`HookDispatcher`] calls hooks; [`HookLayer`] adds a dispatcher to an engine.
//! - [`event`]: the event bus and the layer that publishes to it.
//! - [`builtin`]: logging, metrics, a rate limit, and a capture for debugging.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use llmspell_workflows_basic::{
//!     Engine, WorkflowInput, activity::{Activities, function}, engine::Position, model::{Definition, Step},
//! };
//! use llmspell_workflows_hooks::{
//!     HookContext, HookDispatcher, HookLayer, Registration, Selector, answer::{HookRetry, OnError}, hook_fn,
//!     point::ToolError,
//! };
//! use serde_json::json;
//!
//! // A tool whose quota is used up, and a tool that is always available.
//! let mut activities = Activities::new();
//! activities.register("tool", "precise", function(|_| async move {
//!     Err::<serde_json::Value, _>(llmspell_workflows_basic::StepError::transient("quota", "no calls left today"))
//! }));
//! activities.register("tool", "rough", function(|call| async move { Ok(json!({"about": call.input()["n"]})) }));
//!
//! let fallback = hook_fn(|context: HookContext| async move {
//!     Ok(match context.error().map(|error| &*error.code) {
//!         Some("quota") => OnError::Redirect(llmspell_workflows_basic::model::ActivityName::new("tool", "rough")),
//!         Some("busy") => OnError::Retry(HookRetry::once()),
//!         _ => OnError::Continue,
//!     })
//! });
//! let dispatcher = HookDispatcher::builder()
//!     .register(Registration::new("fallback").at(ToolError, fallback).select(Selector::all().path("/main/**")))
//!     .build();
//!
//! let engine = Engine::builder()
//!     .activities(activities)
//!     .interceptor(Position::Hooks, HookLayer::new(Arc::new(dispatcher)))
//!     .build();
//! let definition = Definition::sequence("measure", [Step::tool("size", "precise", json!({"n": 3}))]);
//! let finished = engine.run(definition, WorkflowInput::default()).await?;
//! assert_eq!(*finished.output, json!({"about": 3}));
//! # Ok::<(), llmspell_workflows_basic::WorkflowError>(()) }).unwrap();
//! ```

pub mod answer;
mod breaker;
pub mod builtin;
mod cache;
mod context;
mod correlations;
mod dispatch;
pub mod event;
mod hook;
mod layer;
mod pattern;
pub mod point;
mod registration;
mod report;
mod selector;

pub use answer::{Answer, Course, Verdict};
pub use breaker::BreakerSettings;
pub use cache::CACHE_ENTRIES_MAX;
pub use context::{HookContext, HostPoint};
pub use correlations::Correlations;
pub use dispatch::{Combine, HookDispatcher, HookDispatcherBuilder};
pub use event::EventBus;
pub use hook::{Hook, HookError, HookFn, hook_fn};
pub use layer::{HOOK_ROUNDS_MAX, HookLayer};
pub use point::{HookPoint, Point};
pub use registration::{Priority, Registration, TIMEOUT_DEFAULT};
pub use report::{HookFailure, HookReport};
pub use selector::Selector;
