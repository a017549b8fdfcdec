use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_basic::{RunStatus, WorkflowInput};
use serde_json::{Value, json};

use crate::{App, Exit, Failure, host, source::Source};

/// Runs a workflow.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The definition, YAML or JSON; `-` is standard input.
    file: PathBuf,
}

impl Run {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let engine = host::engine(app.config()?.settings())?.build();
        let document = Source::read(&self.file)?.check(&engine)?;
        let runtime = host::runtime()?;
        let finished = runtime.block_on(engine.run(document.definition, WorkflowInput::new(Value::Null)));
        let finished = finished.map_err(|error| Failure::new(Exit::Failed, "run_failed", error.to_string()))?;
        app.output().payload(&json!({"run_id": finished.run_id, "output": finished.output}));
        Ok(if finished.status == RunStatus::Completed { Exit::Ok } else { Exit::Failed })
    }
}
