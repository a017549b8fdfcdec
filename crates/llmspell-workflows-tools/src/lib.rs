//! The tools that workflows call, built on well-maintained libraries.
//!
//! A [`Tool`] describes itself with a [`ToolSpec`] (name, JSON Schemas, category, security level,
//! required permissions) and does its work in [`Tool::call`]. A [`Policy`] determines which files,
//! hosts and programs tools may use. The [`Registry`] finds tools by name or alias, checks
//! parameters against the tool's schema before a call, and limits the size of the result after it.
//!
//! Tools reach files through a [`Sandbox`] of open directory handles. [`HostRules`] decide which
//! hosts tools may connect to, by name and by resolved address. Every failure is a [`ToolError`]
//! with a stable code and a class that says whether a retry can help.
//!
//! ```
//! use llmspell_workflows_tools::{Policy, ToolContext, standard};
//! use serde_json::json;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let tools = standard(Policy::default().into())?;
//! let parameters = json!({"input": "Not bad at all!", "operations": ["sentiment"]});
//! let result = tools.call("sentiment-analyzer", parameters, &ToolContext::default()).await?;
//! assert_eq!(result["sentiment"]["label"], "positive");
//! # Ok::<(), llmspell_workflows_tools::ToolError>(())
//! # }).unwrap();
//! ```
//!
//! Workflows use the tools through [`activities`], which provides the step types `tool` and `shell` and checks their
//! parameters before a run. [`JsonSchemas`] checks data for `validate` steps.
//!
//! The `web` feature (on by default) adds the tools that use HTTP, and the libraries they need.

mod adapters;
mod blocking;
mod data;
mod error;
mod files;
mod hosts;
mod integers;
mod parameters;
mod policy;
mod registry;
mod sandbox;
mod spec;
mod standard;
mod text;
mod tool;
mod violation;
#[cfg(feature = "web")]
mod web;
mod wildcard;

use standard::Services;

pub use adapters::{Expressions, JsonSchemas, Shell, Tools, activities, registry};
pub use data::ExpressionEvaluator;
pub use error::{ToolError, ToolErrorClass};
pub use hosts::HostRules;
pub use policy::{Policy, SearchPolicy, SearchProvider, Secret};
pub use registry::Registry;
pub use sandbox::{Access, Sandbox, SandboxPath};
pub use spec::{Category, Permission, SecurityLevel, ToolSpec};
pub use standard::{Extensions, register_all, register_all_with, standard};
pub use tool::{Tool, ToolContext};
pub use violation::Violation;
