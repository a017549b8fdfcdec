use std::path::Path;

use clap::Args;
use serde_json::Value;

use crate::Failure;

/// The arguments that make an input.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// A field of the input: `KEY=TEXT`, `KEY:=JSON`, or `@FILE` with a JSON object.
    #[arg(short, long = "input", value_name = "INPUT")]
    inputs: Vec<String>,
}

impl Inputs {
    /// What they say together, null where none is given; `file` is another argument that may be standard input.
    pub(super) fn read(&self, file: &Path) -> Result<Value, Failure> {
        super::run::input::read(&self.inputs, file)
    }
}
