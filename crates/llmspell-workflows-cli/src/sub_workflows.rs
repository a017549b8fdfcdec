//! Embeds the definition files that `workflow` steps name, so that a run is pinned to their content.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_basic::{
    Problem, ProblemLocation,
    model::{Definition, Step, StepKind},
};
use llmspell_workflows_definition::{StepTypes, read};

use crate::source::Source;

const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Embeds the definitions that the steps of `definition` name, relative to `folder`; also returns their problems.
pub(crate) fn embedded(definition: &Definition, folder: &Path) -> (Definition, Vec<Problem>) {
    let mut loader = Loader { around: Vec::new(), problems: Vec::new() };
    let embedded = loader.embed(definition.clone(), folder);
    (embedded, loader.problems)
}

struct Loader {
    /// The files being read, outermost first; detects cycles.
    around: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Loader {
    fn embed(&mut self, mut definition: Definition, folder: &Path) -> Definition {
        for (place, name) in named(&definition) {
            if definition.workflows.contains_key(&name) {
                continue;
            }
            let Some(file) = file(folder, &name) else { continue };
            match self.load(&file) {
                Ok(inner) => drop(definition.workflows.insert(name, Arc::new(inner))),
                // The error is reported at the step in the outermost file.
                Err(message) if self.around.is_empty() => {
                    self.problems.push(Problem::error("invalid_sub_workflow", place, message));
                }
                Err(message) => {
                    let place = ProblemLocation::new("", "");
                    self.problems.push(Problem::error("invalid_sub_workflow", place, message));
                }
            }
        }
        definition
    }

    fn load(&mut self, file: &Path) -> Result<Definition, String> {
        let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        if self.around.contains(&real) {
            return Err(format!("`{}` runs itself, directly or indirectly", file.display()));
        }
        let source = Source::read(file).map_err(|failure| failure.message)?;
        let document = read(&source.text, &source.name, &StepTypes::new())
            .map_err(|diagnostics| format!("`{}` is not a valid workflow:\n{diagnostics}", file.display()))?;
        self.around.push(real);
        let inner = self.embed(document.definition, file.parent().unwrap_or(Path::new("")));
        self.around.pop();
        Ok(inner)
    }
}

/// Resolves `name`: a path with an extension, or a file name without one, beside the definition or in `workflows`.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_file = Path::new(name).extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    if is_file {
        return Some(folder.join(name));
    }
    let folders = [folder.to_owned(), folder.join("workflows"), PathBuf::from("workflows")];
    let candidates = folders.iter().flat_map(|folder| ENDINGS.map(|ending| folder.join(format!("{name}.{ending}"))));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// Returns the steps that name other definitions, with these names.
fn named(definition: &Definition) -> Vec<(ProblemLocation, String)> {
    let (mut found, root) = (Vec::new(), Step::new("main", definition.body.clone()));
    let mut left = vec![("/main".to_owned(), &root)];
    let handlers = [("/main/$on_error", &definition.on_error), ("/main/$finally", &definition.finally)];
    for (path, steps) in handlers {
        left.extend(steps.iter().map(|step| (format!("{path}/{}", step.id), &**step)));
    }
    while let Some((path, step)) = left.pop() {
        if let StepKind::Workflow(sub) = &step.kind {
            found.push((ProblemLocation::new(&*path, "workflow"), sub.workflow.clone()));
        }
        left.extend(step.children().into_iter().map(|child| (format!("{path}/{}", child.id), child)));
    }
    found
}
