//! Recorders for hook calls and events.
//!
//! Both retain the most recent items in order and return a [`Story`](crate::Story) with assertions.
//!
//! This example records the points at which your own hook is called, and its answers:
//!
//! ```
//! use llmspell_workflows_hooks::{
//!     HookContext, HookDispatcher, HookLayer, Registration, answer::Before, hook_fn, point::BeforeToolExecution,
//! };
//! use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::HookRecorder};
//!
//! // The hook under test: a dry run does not delete anything.
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
//! let result = WorkflowTest::new(clean)
//!     .tool("files", Script::returns(json!([])))
//!     .engine(move |engine| engine.interceptor(Position::Hooks, HookLayer::new(hooks.clone())))
//!     .run();
//!
//! result.ran(&["look"]);
//! recorder.story().is(&["before_tool_execution /main/look", "before_tool_execution /main/tidy: skip \"a dry run\""]);
//! ```
//!
//! This example records all events of a run:
//!
//! ```
//! use llmspell_workflows_hooks::{EventBus, event::{EventLayer, Filter}};
//! use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::EventRecorder};
//!
//! let bus = EventBus::new();
//! let recorder = EventRecorder::new(&bus, Filter::all());
//! let result = WorkflowTest::new(Definition::sequence("order", [
//!     Step::tool("charge", "payments", json!({})).with_retry(Retry::attempts(2)),
//! ]))
//! .tool("payments", Script::fails(1, "unavailable").then(json!("r-7")))
//! .engine(move |engine| engine.interceptor(Position::Hooks, EventLayer::new(bus.clone())))
//! .run();
//!
//! result.completed_with(&json!("r-7"));
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
pub use hooks::{HookCall, HookRecorder, RecordedHook};

/// The default capacity of a recorder.
pub const RECORDED_MAX: usize = 10_000;
