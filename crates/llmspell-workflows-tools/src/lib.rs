//! The tools that workflows call, each the real thing on a well-kept library.
//!
//! A [`Tool`] says what it is ([`ToolSpec`]: name, JSON Schemas, category, security level, the permissions it needs)
//! and does its work in [`Tool::call`] under a [`Policy`], which says what files, hosts and programs it may reach.
//! The [`Registry`] finds tools by name or alias, checks parameters against their schema before a call and bounds the
//! result after it.
//!
//! Files are reached through a [`Sandbox`] of open directory handles, hosts under [`HostRules`] that look at the
//! resolved address too. Every failure is a [`ToolError`] with a class, which says whether trying again can help, and a
//! stable code.
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
//! A workflow reaches all of it through [`activities`]: steps of type `tool` and `shell`, checked before a run.
//! [`JsonSchemas`] checks the data of `validate` steps.
//!
//! The feature `web` (on by default) has the tools that use HTTP, and the libraries for it.

mod adapters;
mod blocking;
mod data;
mod error;
mod files;
mod hosts;
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
mod whole;
mod wildcard;

use standard::Services;

pub use adapters::{Expressions, JsonSchemas, Shell, Tools, activities, registry};
pub use data::ExpressionEvaluator;
pub use error::{ToolError, ToolErrorClass};
pub use hosts::HostRules;
pub use policy::{Policy, SearchPolicy, SearchProvider, Secret};
pub use registry::Registry;
pub use sandbox::{Access, Located, Sandbox};
pub use spec::{Category, Permission, SecurityLevel, ToolSpec};
pub use standard::{Extensions, register_all, register_all_with, standard};
pub use tool::{Tool, ToolContext};
pub use violation::Violation;
