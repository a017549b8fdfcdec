//! Tests that run the compiled `spellflow` program in separate processes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod cleaning_up;
#[cfg(unix)]
mod clients;
mod completing;
mod configuration;
mod durable;
mod exact;
mod examples;
mod families;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod faults_midway;
mod gallery;
mod interrupt;
mod killed_steps;
mod language;
mod logs;
mod moving;
mod named_limits;
#[cfg(unix)]
mod policy;
#[cfg(unix)]
mod pty;
mod random;
mod random_secrets;
mod recorded_runs;
mod redefine;
mod removed;
mod report;
mod resolving;
mod rewind;
mod rewind_nested;
mod run;
#[cfg(unix)]
mod screens;
mod second_terminal;
mod secret_values;
mod secrets;
mod selections;
#[cfg(unix)]
mod sequences;
mod step_logs;
#[cfg(unix)]
mod stopped;
mod store;
mod sub_workflows;
mod support;
mod terminals;
mod undone;
