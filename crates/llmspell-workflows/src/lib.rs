//! Workflows for agents and tools: a single crate with a feature for each optional part.
//!
//! The crate re-exports all of [`llmspell_workflows_basic`]: the model, the engine and the builders. Each other part
//! has its own feature:
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `advanced` | durable runs with hooks, events, sessions and memory | no |
//! | `sled` | durable runs in a folder that only one process uses at a time, the default for embedding | no |
//! | `definition` | [`definition`]: workflows written in YAML and JSON | yes |
//! | `hooks` | events, and hooks that can change the course of a run | no |
//! | `tools` | [`tools`]: the built-in tools, and steps that start processes | yes |
//! | `web` | the tools that use HTTP | yes |
//!
//! # Example
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
//!     Ok(json!(format!("Hello, {}", call.input()["name"].as_str().unwrap_or("stranger"))))
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

/// An alias for [`ParallelWorkflow`].
pub type AdvancedParallelWorkflow = ParallelWorkflow;

/// Runs the Rust example in the README as a test.
#[cfg(all(doctest, feature = "definition", feature = "tools"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
