//! Tests that run the compiled `spellflow` program in separate processes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod cleaning_up;
mod configuration;
mod durable;
mod examples;
mod families;
mod gallery;
mod interrupt;
mod killed_steps;
mod logs;
mod moving;
#[cfg(unix)]
mod policy;
mod recorded_runs;
mod removed;
mod rewind;
mod rewind_nested;
mod run;
mod second_terminal;
mod secret_values;
mod secrets;
mod sequences;
mod store;
mod sub_workflows;
mod support;
mod terminals;
