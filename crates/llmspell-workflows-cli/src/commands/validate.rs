use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_basic::{Engine, Severity};
use llmspell_workflows_definition::Diagnostics;
use serde_json::json;

use crate::{App, Exit, Failure, folders::definitions, host, output::Paint, source::Source};

/// Checks workflows without running them, and reports all problems together.
///
/// For a folder, checks every `.yaml` and `.yml` file in it except tests. Warnings are failures only with `--strict`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow validate flow.yaml\n  \
        spellflow validate workflows --strict\n  \
        spellflow validate - -o json < flow.yaml")]
pub(crate) struct Validate {
    /// Definitions, or folders that contain them; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also fail on warnings.
    #[arg(long)]
    strict: bool,
}

impl Validate {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let engine = host::engine(app.config()?.settings())?.build();
        let mut all = Vec::new();
        for file in definitions(&self.files)? {
            all.push(diagnostics(&file, &engine)?);
        }
        let is_valid = |one: &Diagnostics| if self.strict { one.is_empty() } else { !one.has_errors() };
        let valid = all.iter().all(is_valid);
        if app.output().is_text() {
            show(app, &all, &is_valid);
            let [one] = all.as_slice() else { return Ok(exit(valid)) };
            if valid && one.file() != "standard input" {
                app.output().note(&format!("next: spellflow run {}", crate::report::shell_word(one.file())));
            }
        } else {
            app.output().payload(&json!({"valid": valid, "files": all}));
        }
        Ok(exit(valid))
    }
}

fn exit(valid: bool) -> Exit {
    if valid { Exit::Ok } else { Exit::Invalid }
}

/// Returns the diagnostics from the reader and the engine for a file, even if the file is not
/// UTF-8.
fn diagnostics(file: &std::path::Path, engine: &Engine) -> Result<Diagnostics, Failure> {
    let source = match Source::read(file) {
        Ok(source) => source,
        Err(Failure { diagnostics: Some(diagnostics), .. }) => return Ok(*diagnostics),
        Err(failure) => return Err(failure),
    };
    Ok(source.examine(engine).map_or_else(|diagnostics| diagnostics, |document| document.diagnostics()))
}

fn show(app: &App, all: &[Diagnostics], is_valid: &impl Fn(&Diagnostics) -> bool) {
    let output = app.output();
    for one in all {
        output.text(&output.on_out_rendered(one));
        let count = |severity| one.list().iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let verdict = match is_valid(one) {
            true => output.on_out(Paint::Good, "valid"),
            false => output.on_out(Paint::Bad, "invalid"),
        };
        let counted = [(errors, "error"), (warnings, "warning"), (one.omitted(), "problem not shown")];
        let counted: Vec<_> = counted.into_iter().filter(|(count, _)| *count > 0).map(plural).collect();
        let counted = if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) };
        output.text(&format!("{}: {verdict}{counted}\n", one.file()));
    }
}

fn plural((count, noun): (usize, &str)) -> String {
    match (count, noun.split_once(' ')) {
        (1, _) => format!("{count} {noun}"),
        (_, Some((noun, rest))) => format!("{count} {noun}s {rest}"),
        (_, None) => format!("{count} {noun}s"),
    }
}
