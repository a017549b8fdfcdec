//! Tests that call the data and file tools through a registry, under a policy.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod directory;
mod every_tool;
#[cfg(unix)]
mod forbidden;
mod operations;
mod row_file_errors;
mod row_files;
mod search;
mod writer;
