//! A test kit for workflows.
//!
//! A test defines a workflow, the results of its activities, and the expected result of the run. Tests do not sleep,
//! and a failed assertion shows the whole run. Start with [`harness`].
//!
//! | you want to | use |
//! |---|---|
//! | run a workflow with scripted activities, a scripted model and no real waiting | [`harness`] |
//! | check that a crash does not change the result | [`harness::WorkflowTest::crash_everywhere`], [`crash`] |
//! | check that no crash of a command such as `retry`, `delete` or `import` harms a run | `verbs` (feature `advanced`) |
//! | check how hooks were called, how they answered, and which events were published | `recorder` (feature `hooks`) |
//! | make a journal, a store or another service fail on a certain call | [`double`] |
//! | specify exactly which calls a service receives, and what they return | `mock` (feature `mockall`) |
//! | bound the overhead of making a run durable | [`harness::WorkflowTest::overhead`] |
//! | check that your own service conforms to its trait | `conformance` (feature `advanced`) |
//! | simulate a power loss, a torn write or a failed sync | [`crash::SimDisk`] |
//! | compare what clients of real processes observed with what the store contains | [`history`] |
//! | control the clock, or use the time of a paused runtime | [`clock`] |
//! | test with every pattern or with random definitions | [`patterns`], [`generate`] |
//!
//! A [`Story`] is a recorded sequence of lines; its assertions show the difference when they fail.
//!
//! # Features
//!
//! - `hooks`: `recorder`, for workflows with hooks or event subscribers.
//! - `advanced`: doubles and `conformance` tests for the services of durable runs (states, sessions, vectors,
//!   embeddings), and `verbs`, which crashes the commands that change runs. Enables `hooks`.
//! - `mockall`: `mock`, with mocks of the service traits. Mocks of hooks and advanced services also need the features
//!   above.

mod bounded_log;
pub mod clock;
#[cfg(feature = "advanced")]
pub mod conformance;
pub mod crash;
pub mod double;
pub mod generate;
pub mod harness;
pub mod history;
#[cfg(feature = "mockall")]
pub mod mock;
pub mod patterns;
#[cfg(feature = "hooks")]
pub mod recorder;
mod story;
#[cfg(feature = "advanced")]
pub mod verbs;

use std::sync::Arc;

use llmspell_workflows_basic::EngineBuilder;

pub use story::Story;

/// A function that configures an engine.
type ConfigureEngine = Arc<dyn Fn(EngineBuilder) -> EngineBuilder + Send + Sync>;
