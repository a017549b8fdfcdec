use std::{fs, path::PathBuf};

use clap::Args;
use llmspell_workflows_definition::StepTypes;

use crate::{App, Exit, Failure};

/// Prints the JSON Schema of workflows, for completion and validation in editors.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  \
        spellflow schema\n  \
        spellflow schema --to workflow.schema.json",
    after_help = "Editors with yaml-language-server complete and validate a workflow that begins with\n  \
        # yaml-language-server: $schema=workflow.schema.json"
)]
pub(crate) struct Schema {
    /// Write the schema to this file.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Schema {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let schema = llmspell_workflows_definition::schema(&StepTypes::new());
        let Some(file) = self.to else {
            app.output().payload(&schema);
            return Ok(Exit::Ok);
        };
        fs::write(&file, text()).map_err(|error| Failure::file("write", &file, &error))?;
        app.output().note(&format!(
            "wrote {0}; to have editors complete and validate a workflow, begin it with this line:\n\
             # yaml-language-server: $schema={0}",
            file.display()
        ));
        Ok(Exit::Ok)
    }
}

/// Returns the text of the schema file.
pub(crate) fn text() -> String {
    format!("{:#}\n", llmspell_workflows_definition::schema(&StepTypes::new()))
}
