use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_definition::{Plain, StepTypes, has_comments, read, to_yaml};
use serde_json::json;

use crate::{App, Exit, Failure, folders::definitions, replace::replace, source::Source};

/// Formats workflows in the canonical form, with one name for each field and a fixed order of fields.
///
/// Without `--check` or `--write`, prints the canonical form. It drops comments, `defaults` and `personas`, so
/// `--write` refuses files that have any of these unless `--force` is given.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow fmt flow.yaml\n  \
        spellflow fmt --check workflows\n  \
        spellflow fmt --write flow.yaml")]
pub(crate) struct Fmt {
    /// Definitions, or folders that contain them; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing, and fail if a file is not in the canonical form.
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// Rewrite the files.
    #[arg(long)]
    write: bool,
    /// With `--write`, also rewrite files that lose comments, `defaults` or `personas`.
    #[arg(long, requires = "write")]
    force: bool,
}

impl Fmt {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let mut files = Vec::new();
        // All files are read before any is written, so an invalid file prevents every change.
        for file in definitions(&self.files)? {
            let source = Source::read(&file)?;
            let document = read(&source.text, &source.name, &StepTypes::new()).map_err(Failure::invalid)?;
            let canonical = to_yaml(&document.definition);
            let again = read(&canonical, &source.name, &StepTypes::new());
            if !again.is_ok_and(|again| again.definition == document.definition) {
                let message = format!("the canonical form of `{}` would change its meaning", source.name);
                return Err(Failure::new(Exit::Failed, "not_printable", message)
                    .with_help("this is a bug, please report it; no file was changed"));
            }
            files.push((file, source, canonical));
        }
        if self.write {
            self.check_writable(&files)?;
        }
        let mut results = Vec::new();
        for (file, source, canonical) in &files {
            let changed = source.text != *canonical;
            if self.write && changed {
                replace(file, canonical).map_err(|error| Failure::file("write", file, &error))?;
            }
            results.push((source.name.as_str(), changed, canonical));
        }
        self.show(app, &results);
        let differs = results.iter().any(|(_, changed, _)| *changed);
        Ok(if self.check && differs { Exit::Failed } else { Exit::Ok })
    }

    fn check_writable(&self, files: &[(PathBuf, Source, String)]) -> Result<(), Failure> {
        for (file, source, canonical) in files {
            let error =
                |code, message: String, help: &str| Err(Failure::new(Exit::Usage, code, message).with_help(help));
            if file.as_os_str() == "-" {
                return error("usage", "cannot write to standard input".to_owned(), "remove `--write`");
            }
            if file.extension().is_some_and(|extension| extension == "json") {
                let message = format!("`{}` is JSON, but the canonical form is YAML", file.display());
                return error("usage", message, "write it to a new file: spellflow fmt FILE > NEW.yaml");
            }
            let lost = lost(source);
            if !self.force && source.text != *canonical && !lost.is_empty() {
                let message =
                    format!("`{}` has {}, which the canonical form does not keep", file.display(), lost.join(" and "));
                return error("would_be_lost", message, "add `--force` to rewrite it anyway");
            }
        }
        Ok(())
    }

    fn show(&self, app: &App, results: &[(&str, bool, &String)]) {
        if !app.output().is_text() {
            let files = results.iter().map(|(file, changed, canonical)| {
                json!({"file": file, "canonical": !changed, "written": self.write && *changed, "text": canonical})
            });
            return app.output().payload(&files.collect::<Vec<_>>());
        }
        for (file, changed, canonical) in results {
            match (self.check, self.write) {
                (false, false) if results.len() > 1 => app.output().text(&format!("# {file}\n{canonical}\n")),
                (false, false) => app.output().text(canonical),
                (_, true) if *changed => app.output().text(&format!("{file}: written\n")),
                (true, _) if *changed => app.output().text(&format!("{file}: not in the canonical form\n")),
                _ => {}
            }
        }
    }
}

/// Returns the parts of a file that its canonical form drops.
fn lost(source: &Source) -> Vec<&'static str> {
    let plain = Plain::read(&source.text, &source.name);
    let has = |field: &str| plain.as_ref().is_ok_and(|plain| plain.value().get(field).is_some());
    let parts = [
        (has_comments(&source.text), "comments"),
        (has("defaults"), "`defaults` (their settings would be copied to each step)"),
        (has("personas"), "`personas`"),
    ];
    parts.into_iter().filter(|(is_present, _)| *is_present).map(|(_, name)| name).collect()
}
