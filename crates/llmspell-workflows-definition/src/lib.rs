//! Workflows written in YAML and JSON: text to the model and back, and everything that is wrong with it at once.
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
//! - [`read`] gives a [`Document`]: the definition, equal by value and hash to the one that a builder makes, and the
//!   table that finds each of its parts in the source. [`read_bytes`] takes a file as it is.
//! - [`check`] does the same and has the engine look at it: what this crate finds (syntax, fields, types, values) and
//!   what the engine finds (references, expressions, cycles, tools) come as one list, in the order of the lines.
//! - [`Diagnostics`] display as text with a mark under each mistake, and serialize for programs.
//! - [`to_yaml`] prints a definition in its canonical form, and [`schema`] the dialect for editors.
//! - [`StepTypes`] adds step types of the host's own.
//!
//! # Rules of the dialect that surprise
//!
//! - YAML is version 1.2 with its core schema: `yes` is a text, `012` is twelve, and a number that would lose digits is
//!   refused. A key that stands twice is an error.
//! - Nothing is read and then ignored. What the specification has and this version has not is `unsupported`.
//! - A list in which any step has `next_step` is a route: a step without one goes on to the next of the list, the last
//!   one ends. In a mapping of ids to steps, a step without one ends the route. In a list inside of a block, the route
//!   is one step with the id `route`.
//! - A bare name may stand where a condition does, if `conditions` declares it; it stays a name in the model. Braces
//!   around the whole of a condition go.
//! - `then_steps: [id]` takes the step `id` out of the list around and into the block; nothing outside can wait for it.
//! - `defaults` are filled in at each step; a step's own setting replaces the default as a whole.
//! - On a `conditional`, `condition` chooses the branch, and `only_if` says whether it runs at all. On a `loop`,
//!   `on_error` is about iterations; with `on_iteration_error` beside it, it is about the loop.
//!
//! Positions live beside the model and never in it, and one table per mapping serves the reader, the schema and
//! the advice in messages, so that these cannot drift apart.

mod comments;
mod diagnose;
mod dialect;
mod document;
mod kinds;
pub mod limits;
mod plain;
mod print;
mod reader;
mod schema;
mod tree;
mod types;

pub use comments::has_comments;
pub use diagnose::{Diagnostic, Diagnostics, Style};
pub use document::{Document, check, read, read_bytes};
pub use plain::Plain;
pub use print::{to_yaml, value_to_yaml};
pub use schema::schema;
pub use types::{CustomType, StepTypes};
