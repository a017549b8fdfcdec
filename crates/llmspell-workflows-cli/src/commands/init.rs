use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::schema;
use crate::{App, Exit, Failure, templates::PROJECT};

/// Creates a project: a configuration, a workflow and its test.
///
/// Never overwrites a file.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow init\n  \
        spellflow init my-project")]
pub(crate) struct Init {
    /// The project folder, created if it does not exist.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

impl Init {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let schema = schema::text();
        let files: Vec<(PathBuf, &str)> = PROJECT
            .into_iter()
            .chain([("workflow.schema.json", schema.as_str())])
            .map(|(path, text)| (self.path(path), text))
            .collect();
        let existing: Vec<_> = files.iter().filter(|(path, _)| path.exists()).collect();
        if let [(first, _), ..] = existing.as_slice() {
            let message = format!("`{}` already exists and was not overwritten", first.display());
            let failure = Failure::new(Exit::Usage, "file_exists", message);
            return Err(failure.with_help("choose another folder, or add a workflow with `spellflow new NAME`"));
        }
        for (path, text) in &files {
            create(path, text)?;
        }
        if app.output().is_text() {
            files.iter().for_each(|(path, _)| app.output().text(&format!("created {}\n", path.display())));
            let cd =
                if self.folder == Path::new(".") { String::new() } else { format!("cd {} && ", self.folder.display()) };
            app.output().note(&format!(
                "next: {cd}spellflow run workflows/hello.yaml --input name=Ada\n      {cd}spellflow test workflows"
            ));
        } else {
            let created: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
            app.output().payload(
                &json!({"created": created, "workflow": self.path("workflows/hello.yaml").display().to_string()}),
            );
        }
        Ok(Exit::Ok)
    }

    fn path(&self, path: &str) -> PathBuf {
        if self.folder == Path::new(".") { PathBuf::from(path) } else { self.folder.join(path) }
    }
}

/// Creates a file that must not exist yet, and its parent folders.
pub(super) fn create(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file("create", folder, &error))?;
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::file("write", path, &error))
}
