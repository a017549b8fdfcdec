use clap::Args;
use llmspell_workflows_basic::nearest;
use serde_json::json;

use super::tools;
use crate::{App, Exit, Failure, host};

/// Explains an error code, a step type or a tool.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow explain event_timeout\n  spellflow explain wait_for_event\n  \
    spellflow explain csv_analyzer")]
pub(crate) struct Explain {
    /// The error code, step type or tool.
    name: String,
}

/// The subject of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    StepType,
}

/// A documentation page.
struct Page {
    kind: Kind,
    name: &'static str,
    text: &'static str,
}

/// The pages about error codes and step types.
static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::StepType => "step_type",
        }
    }
}

impl Explain {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let output = app.output();
        let name = self.name.trim_matches(['[', ']', '`']);
        let found: Vec<&Page> = PAGES.iter().filter(|page| page.name == name).collect();
        if !found.is_empty() {
            if output.is_text() {
                let texts: Vec<&str> = found.iter().map(|page| page.text.trim_end()).collect();
                output.text(&(texts.join("\n\n") + "\n"));
            } else {
                let page = |page: &&Page| json!({"kind": page.kind.as_str(), "name": page.name, "text": page.text});
                output.payload(&found.iter().map(page).collect::<Vec<_>>());
            }
            return Ok(Exit::Ok);
        }
        let registry = host::tools(app.config()?.settings())?;
        if let Ok(tool) = registry.find(name) {
            tools::show(app, &registry, tool.spec());
            return Ok(Exit::Ok);
        }
        let known = PAGES.iter().map(|page| page.name).chain(registry.specs().map(|spec| spec.name));
        let message = format!("`{name}` is not an error code, a step type or a tool");
        let failure = Failure::new(Exit::NotFound, "nothing_to_explain", message);
        Err(match nearest(name, known) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help("`spellflow tools list` lists the tools"),
        })
    }
}
