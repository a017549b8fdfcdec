use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use llmspell_workflows_basic::StepId;
use serde_json::json;

use super::init::create;
use crate::{App, Exit, Failure, templates::Template};

/// Creates a workflow from a template; the workflow runs without changes.
///
/// Writes `workflows/NAME.yaml` if a `workflows` folder exists, otherwise `NAME.yaml`. Never
/// overwrites a file.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow new digest\n  \
        spellflow new triage --template route")]
pub(crate) struct New {
    /// The name of the workflow: letters, digits, `_` and `-`.
    name: String,
    /// The template to start from.
    #[arg(long, value_enum, default_value_t = Template::Sequence)]
    template: Template,
}

impl New {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        if StepId::new(&self.name).is_err() {
            let message = format!("invalid workflow name `{}`: use letters, digits, `_` and `-`", self.name);
            return Err(Failure::usage(message).with_help("the first character must be a letter or `_`"));
        }
        let folder = Path::new("workflows");
        let folder = if folder.is_dir() { folder } else { Path::new("") };
        let file: PathBuf = folder.join(format!("{}.yaml", self.name));
        if file.exists() {
            let message = format!("`{}` already exists and was not overwritten", file.display());
            return Err(Failure::new(Exit::Usage, "file_exists", message).with_help("choose another name"));
        }
        create(&file, &self.template.workflow(&self.name))?;
        if app.output().is_text() {
            app.output().text(&format!("created {}\n", file.display()));
            let file = crate::report::shell_word(&file.display().to_string());
            app.output().note(&format!("next: spellflow run {file}\n      spellflow graph {file}"));
        } else {
            let template = self.template.to_possible_value().map(|value| value.get_name().to_owned());
            app.output().payload(&json!({"created": [file.display().to_string()], "template": template}));
        }
        Ok(Exit::Ok)
    }
}
