//! Workflows for agents and tools, as one crate whose features choose the parts.
//!
//! Everything of [`llmspell_workflows_basic`] stands here: the model, the engine, the builders. What else there is has
//! a module and a feature each:
//!
//! | feature | what it adds | on by default |
//! |---|---|---|
//! | `advanced` | durable runs, with hooks, events, sessions and memory around them | no |
//! | `sled` | durable runs in a folder for one process, the embedded default | no |
//! | `definition` | [`definition`]: workflows written in YAML and JSON | yes |
//! | `hooks` | code of yours that may change a run's course, and events | no |
//! | `tools` | [`tools`]: the tools that come along, and steps that start processes | yes |
//! | `web` | the tools that use HTTP | yes |
//!
//! # In code
//!
//! ```
//! use llmspell_workflows::{
//!     BasicWorkflow, Defined, Engine, ErrorStrategy, ExecutionContext, SequentialWorkflow, WorkflowInput,
//!     activity::{Activities, function},
//! };
//! use serde_json::json;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let mut activities = Activities::new();
//! activities.register("tool", "greet", function(|call| async move {
//!     Ok(json!(format!("Hello, {}", call.input()["name"].as_str().unwrap_or("whoever you are"))))
//! }));
//! let engine = Engine::builder().activities(activities).build();
//!
//! let workflow = SequentialWorkflow::builder("greeting")
//!     .add_step("greet", "greet", json!({"name": "{{ user }}"}))
//!     .with_error_handling(ErrorStrategy::Retry(3))
//!     .build()?;
//! let finished = engine.run(workflow.definition().clone(), WorkflowInput::new(json!({"user": "Ada"}))).await?;
//! assert_eq!(*finished.output, json!("Hello, Ada"));
//! # Ok::<(), llmspell_workflows::WorkflowError>(()) }).unwrap();
//! ```

pub use llmspell_workflows_basic::*;

#[cfg(feature = "advanced")]
#[doc(inline)]
pub use llmspell_workflows_advanced as advanced;
#[cfg(feature = "definition")]
#[doc(inline)]
pub use llmspell_workflows_definition as definition;
#[cfg(feature = "hooks")]
#[doc(inline)]
pub use llmspell_workflows_hooks as hooks;
#[cfg(feature = "tools")]
#[doc(inline)]
pub use llmspell_workflows_tools as tools;

/// Branches at the same time, under the name that the project's first descriptions use.
pub type AdvancedParallelWorkflow = ParallelWorkflow;

/// The README, whose example is a test.
#[cfg(all(doctest, feature = "definition", feature = "tools"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
