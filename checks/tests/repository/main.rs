//! Tests that check the repository itself.
//!
//! Each file checks one thing: dependencies between crates, the form of source files, the pages for
//! error codes, generated pages, links, examples or manifests.
//! `UPDATE_DOCS=1 cargo test -p llmspell-workflows-checks` updates the generated pages.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod coded;
mod codes;
mod errors;
mod examples;
mod kinds;
mod layers;
mod limits;
mod links;
mod manifest;
mod sources;
mod support;
