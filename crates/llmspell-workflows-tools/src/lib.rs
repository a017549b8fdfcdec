//! The tools that workflows call, each the real thing on a well-kept library.
//!
//! A [`Tool`] says what it is ([`ToolSpec`]: name, JSON Schemas, category, security level, the permissions it needs)
//! and does its work in [`Tool::call`] under a [`Policy`], which says what files, hosts and programs it may reach.
//! The [`Registry`] finds tools by name or alias and checks parameters against their schema before a call.

mod error;
mod spec;
mod tool;

pub use error::{ToolError, ToolErrorClass};
pub use spec::{Category, Permission, SecurityLevel, ToolSpec};
pub use tool::{Tool, ToolContext};
