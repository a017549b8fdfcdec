//! Workflows written in YAML and JSON: text to the model and back, and everything that is wrong with it at once.

mod diagnose;
mod dialect;
mod document;
pub mod limits;
mod plain;
mod print;
mod reader;
mod schema;
mod tree;
mod types;

pub use diagnose::{Diagnostic, Diagnostics, Positions, Style};
pub use document::{Document, check, read, read_bytes};
pub use plain::Plain;
pub use print::to_yaml;
pub use schema::schema;
pub use types::{CustomType, StepTypes};
