use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum};
use llmspell_workflows_definition::{StepTypes, read};
use serde_json::json;

use crate::{
    App, Exit, Failure,
    graph::{Chart, dot, mermaid},
    outline::{self, Branches, Known},
    source::Source,
};

/// Draws a workflow as Mermaid for Markdown, DOT for Graphviz, or plain text.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow graph flow.yaml\n  \
        spellflow graph flow.yaml --format ascii\n  \
        spellflow graph flow.yaml --format dot | dot -Tsvg > flow.svg")]
pub(crate) struct Graph {
    /// The definition, YAML or JSON; `-` is standard input.
    file: PathBuf,
    /// The drawing format.
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A Mermaid flowchart for Markdown viewers.
    Mermaid,
    /// DOT for Graphviz.
    Dot,
    /// A tree in plain text.
    Ascii,
}

impl Graph {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let source = Source::read(&self.file)?;
        let definition = read(&source.text, &source.name, &StepTypes::new()).map_err(Failure::invalid)?.definition;
        let text = match self.format {
            Format::Mermaid => mermaid(&Chart::new(&definition)),
            Format::Dot => dot(&Chart::new(&definition)),
            Format::Ascii => {
                let known = Known { waits: BTreeMap::new(), decide: &|_| None };
                let blocks = outline::build(&definition, &known);
                outline::text(&outline::title(&definition), &blocks, Branches::Ascii)
            }
        };
        match app.output().is_text() {
            true => app.output().text(&text),
            false => {
                let format = self.format.to_possible_value().map(|value| value.get_name().to_owned());
                app.output().payload(&json!({"workflow": definition.name, "format": format, "text": text}));
            }
        }
        Ok(Exit::Ok)
    }
}
