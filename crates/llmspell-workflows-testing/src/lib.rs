//! Tests of workflows, and what they are made of.
//!
//! A test says which workflow runs, what its activities answer, and what should come of it; nothing in it sleeps, and
//! what is not as it should be is shown with all that there was. Begin with [`harness`].
//!
//! | you want to | take |
//! |---|---|
//! | run a workflow with scripted activities, a scripted model and time that passes at once | [`harness`] |
//! | see that a crash anywhere makes no difference | [`harness::WorkflowTest::crash_everywhere`], [`crash`] |
//! | see what hooks were asked and answered, and what was told of a run | `recorder` (feature `hooks`) |
//! | have a journal, a store or another service fail at a certain call | [`double`] |
//! | say exactly which calls of a service are made, and what it answers | `mock` (feature `mockall`) |
//! | bound what it costs to make a run durable | [`harness::WorkflowTest::overhead`] |
//! | plug in a service of your own, and see that it is one | `conformance` (feature `advanced`) |
//! | lose the power, tear a write, fail a sync below the log | [`crash::SimDisk`] |
//! | move time by hand, or wait in a paused runtime | [`clock`] |
//! | try every pattern, or definitions that nobody thought of | [`patterns`], [`generate`] |
//!
//! What is seen in order is a [`Story`]: it has the assertions, and shows the difference.
//!
//! # Features
//!
//! - `hooks`: `recorder`, for workflows with hooks or subscribers.
//! - `advanced`: doubles and `conformance` of the services of durable runs: states, sessions, vectors, embeddings; and
//!   `hooks`.
//! - `mockall`: `mock`, mocks of the service traits; those of hooks and of advanced services with the features above.

pub mod clock;
#[cfg(feature = "advanced")]
pub mod conformance;
pub mod crash;
pub mod double;
pub mod generate;
pub mod harness;
mod kept;
#[cfg(feature = "mockall")]
pub mod mock;
pub mod patterns;
#[cfg(feature = "hooks")]
pub mod recorder;
mod story;

use std::sync::Arc;

use llmspell_workflows_basic::EngineBuilder;

pub use story::Story;

/// Adds something to an engine.
type Build = Arc<dyn Fn(EngineBuilder) -> EngineBuilder + Send + Sync>;
