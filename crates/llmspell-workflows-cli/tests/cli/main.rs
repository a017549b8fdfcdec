//! The real program in real processes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod again;
mod again_inside;
mod configuration;
mod durable;
mod examples;
mod gallery;
mod interrupt;
mod kept;
mod logs;
mod run;
mod second_terminal;
mod secrets;
mod store;
mod sub_workflows;
mod support;
