//! Runs the workflows of the seed documents, written in Rust and YAML, with the built-in tools and
//! real HTTP.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod csv_job;
mod enrichment;
mod multi_search;
mod research;
mod validation;
