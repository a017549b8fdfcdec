//! Reads workflows from YAML and JSON, prints them as YAML, and reports all errors in a file together.
//!
//! ```
//! use llmspell_workflows_definition::{StepTypes, read};
//!
//! let text = "
//! name: research
//! steps:
//!   - id: search
//!     tool: web_search
//!     params: {input: '{{ query }}', max_results: 10}
//!     retries: 2
//!   - id: summarize
//!     tool: text_summarizer
//!     params: {input: '{{ search.results[0] }}'}
//!     timout: 30
//! ";
//! let diagnostics = read(text, "research.yaml", &StepTypes::new()).unwrap_err();
//! assert_eq!(
//!     diagnostics.to_string(),
//!     "\
//! error[unknown_field]: `timout` is not a field of a `tool` step
//!    --> research.yaml:11:5 (/main/summarize)
//!     |
//!  11 |     timout: 30
//!     |     ^^^^^^
//!     = help: did you mean `timeout`?",
//! );
//! ```
//!
//! # From text to a run
//!
//! - [`read`] returns a [`Document`]: the definition, equal in value and hash to the same definition built in code,
//!   with the source positions of all its parts. [`read_bytes`] accepts the bytes of a file.
//! - [`check`] also validates the definition, usually with the engine: errors from this crate (syntax, fields, types,
//!   values) and from the engine (references, expressions, cycles, tools) form one list, in source order.
//! - [`Diagnostics`] can be displayed as text, with a mark under each error, and serialized for programs.
//! - [`format`](fn@format) formats a file and keeps its comments; [`to_yaml`] prints a definition in its canonical form, and
//!   [`schema`] returns the JSON Schema of the dialect.
//! - [`StepTypes`] adds the host's own step types.
//!
//! # Rules of the dialect
//!
//! - The language is YAML 1.2 with its core schema: `yes` is a string, `012` is the number 12, and a number that would
//!   lose digits is rejected. A duplicate key is an error.
//! - Nothing is silently ignored. A feature of the specification that this version lacks is reported as `unsupported`.
//! - A list in which any step has `next_step` is a route: a step without `next_step` continues with the next step in
//!   the list, and the last step ends the route. In a mapping of ids to steps, a step without `next_step` ends the
//!   route. In a list inside a block, the route becomes a single step with the id `route`.
//! - A condition may be just a name declared in `conditions`; the model keeps the name.
//!   Braces around a whole condition are removed.
//! - `then_steps: [id]` moves the step `id` from the enclosing list into the block; no step outside the block can
//!   depend on it.
//! - `defaults` apply to each step; a step's own setting replaces the whole default.
//! - On a `conditional`, `condition` chooses the branch, and `only_if` decides whether the step runs at all. On a
//!   `loop`, `on_error` applies to iterations, or to the loop if `on_iteration_error` is set too.
//!
//! Positions are stored next to the model, never in it. One table per mapping drives the reader, the schema and the
//! suggestions in messages, so they cannot diverge.

mod diagnose;
mod dialect;
mod document;
mod format;
mod kinds;
pub mod limits;
mod plain;
mod print;
mod reader;
#[cfg(test)]
mod reference;
mod schema;
mod tree;
mod types;

pub use diagnose::{Diagnostic, Diagnostics, Style};
pub use document::{Document, check, read, read_bytes};
pub use format::format;
pub use plain::Plain;
pub use print::{to_yaml, value_to_yaml};
pub use schema::schema;
pub use types::{CustomType, StepTypes};
