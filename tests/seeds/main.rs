//! The workflows of the seed documents, as Rust and as YAML, on the shipped tools and real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod csv_job;
mod enrichment;
mod multi_search;
mod research;
mod validation;
