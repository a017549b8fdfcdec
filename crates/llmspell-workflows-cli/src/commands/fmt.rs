use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_definition::{StepTypes, format as format_text, read};
use serde_json::json;

use crate::{App, Exit, Failure, folders::definitions, replace::replace, source::Source};

/// Formats workflows with one name for each field and consistent indentation.
///
/// Comments, blank lines and the order of fields are kept, and the meaning of a workflow never
/// changes. Without `--check` or `--write`, prints the formatted workflow.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow fmt flow.yaml\n  \
        spellflow fmt --check workflows\n  \
        spellflow fmt --write flow.yaml")]
pub(crate) struct Fmt {
    /// Definitions, or folders that contain them; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing, and fail if a file is not formatted.
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// Rewrite the files.
    #[arg(long)]
    write: bool,
}

impl Fmt {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        if self.write && self.files.iter().any(|file| file.as_os_str() == "-") {
            return Err(Failure::usage("cannot write to standard input").with_help("remove `--write`"));
        }
        let mut files = Vec::new();
        // All files are read before any file is written, so a single invalid file prevents all
        // changes.
        for file in definitions(&self.files)? {
            let source = Source::read(&file)?;
            let document = read(&source.text, &source.name, &StepTypes::new()).map_err(Failure::invalid)?;
            let formatted = format_text(&source.text, &source.name, &StepTypes::new()).map_err(Failure::invalid)?;
            let again = read(&formatted, &source.name, &StepTypes::new());
            if !again.is_ok_and(|again| again.definition == document.definition) {
                let message = format!("formatting `{}` would change its meaning", source.name);
                return Err(Failure::new(Exit::Failed, "not_formattable", message)
                    .with_help("this is a bug, please report it; no file was changed"));
            }
            files.push((file, source, formatted));
        }
        let mut results = Vec::new();
        for (file, source, formatted) in &files {
            let changed = source.text != *formatted;
            if self.write && changed {
                replace(file, formatted).map_err(|error| Failure::file("write", file, &error))?;
            }
            results.push((source.name.as_str(), changed, formatted));
        }
        self.show(app, &results);
        let differs = results.iter().any(|(_, changed, _)| *changed);
        Ok(if self.check && differs { Exit::Failed } else { Exit::Ok })
    }

    fn show(&self, app: &App, results: &[(&str, bool, &String)]) {
        if !app.output().is_text() {
            let files = results.iter().map(|(file, changed, formatted)| {
                json!({"file": file, "formatted": !changed, "written": self.write && *changed, "text": formatted})
            });
            return app.output().payload(&files.collect::<Vec<_>>());
        }
        for (file, changed, formatted) in results {
            match (self.check, self.write) {
                (false, false) if results.len() > 1 => app.output().text(&format!("# {file}\n{formatted}\n")),
                (false, false) => app.output().text(formatted),
                (_, true) if *changed => app.output().text(&format!("{file}: written\n")),
                (true, _) if *changed => app.output().text(&format!("{file}: not formatted\n")),
                _ => {}
            }
        }
    }
}
