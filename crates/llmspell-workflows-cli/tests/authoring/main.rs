//! Tests for the commands that help write workflows; each test runs `spellflow` in separate processes.

mod broken;
mod doctor;
mod drawings;
mod explain;
mod fmt;
mod help;
mod outputs;
mod plan;
mod projects;
mod support;
mod tools;
mod validate;
mod workflow_test_errors;
mod workflow_test_runs;
mod workflow_tests;
