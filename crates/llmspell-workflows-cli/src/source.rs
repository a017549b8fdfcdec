//! Reads definitions from files and standard input.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use llmspell_workflows_basic::{Engine, model::Definition};
use llmspell_workflows_definition::{Diagnostics, Document, StepTypes, check, limits};

use crate::{
    Exit, Failure,
    sub_workflows::{embedded, validated},
};

/// The text of a definition, and the name used for it in diagnostics.
pub(crate) struct Source {
    /// The file's folder, for resolving other files named in the definition.
    folder: PathBuf,
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads `file`; `-` is standard input.
    ///
    /// # Errors
    /// Returns an error if the file does not exist, cannot be read, is too large or is not UTF-8.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        Self::read_up_to(file, limits::FILE_BYTES as u64)
    }

    /// Like [`Self::read`], but reads at most one byte more than `bytes_max`.
    pub(crate) fn read_up_to(file: &Path, bytes_max: u64) -> Result<Self, Failure> {
        let bounded = |from: &mut dyn Read| bounded(from, bytes_max);
        let (name, bytes) = if file.as_os_str() == "-" {
            let name = "standard input";
            (
                name.to_owned(),
                bounded(&mut io::stdin().lock()).map_err(|error| Failure::file("read", name.as_ref(), &error))?,
            )
        } else {
            let opened = fs::File::open(file).and_then(|mut file| bounded(&mut file));
            let bytes = opened.map_err(|error| {
                let failure = Failure::file("read", file, &error);
                match nearest_file(file) {
                    Some(near) if failure.exit == Exit::NotFound => {
                        failure.with_help(format!("did you mean `{near}`?"))
                    }
                    _ => failure,
                }
            })?;
            (file.display().to_string(), bytes)
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let folder = file.parent().unwrap_or(Path::new("")).to_owned();
                Ok(Self { folder, name, text })
            }
            Err(error) => {
                // The reader reports the position of the invalid bytes.
                let read = llmspell_workflows_definition::read_bytes(error.as_bytes(), &name, &StepTypes::new());
                Err(Failure::invalid(read.expect_err("bytes that are not UTF-8 cannot be a definition")))
            }
        }
    }

    /// Returns `definition`, read from this source, and embeds the definitions that its steps name.
    /// Unreadable definitions are omitted; [`check`](Self::check) reports why.
    pub(crate) fn embed(&self, definition: &Definition) -> Definition {
        embedded(definition, &self.folder).0
    }

    /// Parses the definition and validates it with `engine`.
    ///
    /// # Errors
    /// Returns an error if the definition is invalid; all problems are reported together.
    pub(crate) fn check(&self, engine: &Engine) -> Result<Document, Failure> {
        self.examine(engine).map_err(Failure::invalid)
    }

    /// Like [`check`](Self::check), but returns the diagnostics. Definitions named by steps are
    /// embedded.
    pub(crate) fn examine(&self, engine: &Engine) -> Result<Document, Diagnostics> {
        let mut complete = None;
        let document = check(&self.text, &self.name, &StepTypes::new(), |definition| {
            let (embedded, problems) = validated(definition, &self.folder, |embedded| engine.validate(embedded));
            complete = Some(embedded);
            problems
        });
        document.map(|mut document| {
            document.definition = complete.unwrap_or(document.definition);
            document
        })
    }
}

/// Reads at most one byte more than a definition's size limit, so that the reader can detect and
/// reject a definition that is too large.
fn bounded(from: &mut dyn Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the file in the same folder whose name is most similar to `file`.
fn nearest_file(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> =
        fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = llmspell_workflows_basic::nearest(file.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(file.with_file_name(near).display().to_string())
}
