//! The commands, each in a separate file.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod graph;
pub(crate) mod init;
mod inputs;
pub(crate) mod man;
pub(crate) mod message;
pub(crate) mod new;
pub(crate) mod plan;
mod redefine;
pub(crate) mod resolve;
pub(crate) mod resume;
pub(crate) mod rewind;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod store;
pub(crate) mod test;
pub(crate) mod tools;
pub(crate) mod validate;
