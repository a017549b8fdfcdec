use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use llmspell_workflows_basic::StepId;
use serde_json::json;

use super::init::create;
use crate::{App, Exit, Failure, templates::Template};

/// Adds a workflow that runs as it is, to be changed into your own.
///
/// It becomes `workflows/NAME.yaml` where there is a folder `workflows`, else `NAME.yaml`. Nothing that exists is
/// overwritten.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow new digest\n  \
        spellflow new triage --template route")]
pub(crate) struct New {
    /// Its name: letters, digits, `_` and `-`.
    name: String,
    /// What it begins with.
    #[arg(long, value_enum, default_value_t = Template::Sequence)]
    template: Template,
}

impl New {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        if let Err(error) = StepId::new(&self.name) {
            return Err(Failure::usage(format!("`{}` cannot be a workflow's name: {error}", self.name)));
        }
        let folder = Path::new("workflows");
        let folder = if folder.is_dir() { folder } else { Path::new("") };
        let file: PathBuf = folder.join(format!("{}.yaml", self.name));
        if file.exists() {
            let message = format!("`{}` exists already, and nothing is overwritten", file.display());
            return Err(Failure::new(Exit::Usage, "file_exists", message).with_help("choose another name"));
        }
        create(&file, &self.template.workflow(&self.name))?;
        if app.output().is_text() {
            app.output().text(&format!("created {}\n", file.display()));
            app.output().note(&format!("next: spellflow run {0}\n      spellflow graph {0}", file.display()));
        } else {
            let template = self.template.to_possible_value().map(|value| value.get_name().to_owned());
            app.output().payload(&json!({"created": [file.display().to_string()], "template": template}));
        }
        Ok(Exit::Ok)
    }
}
