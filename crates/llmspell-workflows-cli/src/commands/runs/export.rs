use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_advanced::{DOCUMENT_BYTES_MAX, ExecutorError};
use llmspell_workflows_basic::parse_json;

use crate::{
    App, Exit, Failure,
    commands::run::durable_failure,
    output::{Format, Output},
    source::Source,
};

/// Exports a run as one JSON document that can be imported elsewhere.
///
/// The document contains the definition, all records, messages and large values. Secrets are masked.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs export @last --file run.json\n  \
    spellflow runs export 0199c1 > run.json")]
pub(super) struct Export {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Imports an exported run under its original id.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs import run.json\n  \
    spellflow runs export @last | spellflow runs import - --store elsewhere")]
pub(super) struct Import {
    /// The exported document; `-` is standard input.
    file: PathBuf,
}

impl Export {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let home = app.home();
        let known = app.wait(home.find(&self.run))?;
        let document = app.wait(home.export(&known))?;
        let text = serde_json::to_string_pretty(&document).expect("an export is plain data with string keys") + "\n";
        match &self.file {
            Some(file) => {
                std::fs::write(file, &text).map_err(|error| Failure::file("write", file, &error))?;
                app.output().note(&format!("exported run {} to `{}`", known.id(), file.display()));
            }
            // Even in the text format, the result is the JSON document.
            None if app.output().format() == Format::Text => app.output().text(&text),
            None => app.output().payload(&document),
        }
        Ok(Exit::Ok)
    }
}

impl Import {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let source = Source::read_up_to(&self.file, DOCUMENT_BYTES_MAX)?;
        let refused = |message: String| durable_failure(ExecutorError::Import { message });
        if source.text.len() as u64 > DOCUMENT_BYTES_MAX {
            let message =
                format!("`{}` exceeds the limit `DOCUMENT_BYTES_MAX` of {DOCUMENT_BYTES_MAX} bytes", source.name);
            return Err(refused(message));
        }
        let document =
            parse_json(&source.text).map_err(|error| refused(format!("cannot read `{}`: {error}", source.name)))?;
        let known = app.wait(app.home().import(&document))?;
        let output: &Output = app.output();
        if !output.is_text() {
            output.payload(&serde_json::json!({"run_id": known.id(), "status": known.status().as_str()}));
        }
        let next = if known.status().has_ended() { "runs show" } else { "resume" };
        output.note(&format!("imported run {}; next: spellflow {next} {0}", known.id()));
        Ok(Exit::Ok)
    }
}
