//! What the repository promises about itself.
//!
//! Each file is one promise: arrows between crates, the shape of source files, a page per error code, generated pages,
//! links, examples, manifests. `UPDATE_DOCS=1 cargo test -p llmspell-workflows-checks` writes the generated pages anew.
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
