//! Tests of the commands for writing workflows, in real processes.

mod doctor;
mod drawings;
mod fmt;
mod help;
mod outputs;
mod plan;
mod projects;
mod support;
mod tools;
mod validate;
mod workflow_tests;
