use std::path::Path;

use clap::Args;
use serde_json::Value;

use crate::Failure;

/// Arguments that make up the input.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// A field of the input: `KEY=TEXT`, `KEY:=JSON`, or `@FILE` with a JSON object.
    #[arg(short, long = "input", value_name = "INPUT")]
    inputs: Vec<String>,
}

impl Inputs {
    /// Returns the arguments as they were given, for a suggested command.
    pub(super) fn given(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str)
    }

    /// Reads and merges the arguments; returns null if there are none. `file` is the command's
    /// other argument that may name standard input.
    pub(super) fn read(&self, file: &Path) -> Result<Value, Failure> {
        super::run::input::read(&self.inputs, file)
    }
}
