//! One file per command: its arguments, and what it does.

pub(crate) mod config;
pub(crate) mod run;
