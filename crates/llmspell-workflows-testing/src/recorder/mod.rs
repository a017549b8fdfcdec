//! What hooks were asked and answered, and what was told of runs, in order.
//!
//! Both keep the last of it in bounded room, and give a [`Story`](crate::Story) to assert about.
//!
//! A hook of one's own, watched: where it was asked, and what it answered.
//!
//! ```
//! use llmspell_workflows_hooks::{
//!     HookContext, HookDispatcher, HookLayer, Registration, answer::Before, hook_fn, point::BeforeToolExecution,
//! };
//! use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::HookRecorder};
//!
//! // What is tested: nothing is deleted in a dry run.
//! let dry_run = hook_fn(|context: HookContext| async move {
//!     let input = context.input()?.unwrap_or_default();
//!     Ok(if input["operation"] == "delete" { Before::Skip("a dry run".into()) } else { Before::Continue })
//! });
//!
//! let recorder = HookRecorder::new();
//! let watched = Registration::new("dry-run").at(BeforeToolExecution, recorder.watch(dry_run));
//! let hooks = std::sync::Arc::new(HookDispatcher::builder().register(watched).build());
//! let clean = Definition::sequence("clean", [
//!     Step::tool("look", "files", json!({"operation": "list"})),
//!     Step::tool("tidy", "files", json!({"operation": "delete"})),
//! ]);
//! let ended = WorkflowTest::new(clean)
//!     .tool("files", Script::answers(json!([])))
//!     .engine(move |engine| engine.interceptor(Position::Hooks, HookLayer::new(hooks.clone())))
//!     .run();
//!
//! ended.ran(&["look"]);
//! recorder.story().is(&["before_tool_execution /main/look", "before_tool_execution /main/tidy: skip \"a dry run\""]);
//! ```
//!
//! All that is told of a run:
//!
//! ```
//! use llmspell_workflows_hooks::{EventBus, event::{EventLayer, Filter}};
//! use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::EventRecorder};
//!
//! let bus = EventBus::new();
//! let recorder = EventRecorder::new(&bus, Filter::all());
//! let ended = WorkflowTest::new(Definition::sequence("order", [
//!     Step::tool("charge", "payments", json!({})).with_retry(Retry::attempts(2)),
//! ]))
//! .tool("payments", Script::fails(1, "unavailable").then(json!("r-7")))
//! .engine(move |engine| engine.interceptor(Position::Hooks, EventLayer::new(bus.clone())))
//! .run();
//!
//! ended.completed_with(&json!("r-7"));
//! recorder.story().is(&[
//!     "run.started",
//!     "step.started /main/charge",
//!     "step.retrying /main/charge",
//!     "step.completed /main/charge",
//!     "run.completed",
//! ]);
//! ```

mod events;
mod hooks;

pub use events::EventRecorder;
pub use hooks::{Asked, HookRecorder, Watched};

/// How much a recorder keeps unless it is made with more room.
pub const RECORDED_MAX: usize = 10_000;
