//! Embeds the definition files named by `workflow` steps, so that a run is pinned to their content.

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

/// Embeds the definitions named by the steps of `definition`, relative to `folder`. Also returns a
/// problem for each unreadable definition, located at the step that names it directly or through
/// other files.
pub(crate) fn embedded(definition: &Definition, folder: &Path) -> (Definition, Vec<Problem>) {
    let (embedded, unreadable) = Loader::default().embed(definition.clone(), folder);
    let problem = |(place, message)| Problem::error("invalid_sub_workflow", place, message);
    (embedded, unreadable.into_iter().map(problem).collect())
}

/// Embeds the definitions named by the steps of `definition`, and checks the result with
/// `validate`. An unreadable definition is reported only once.
pub(crate) fn validated(
    definition: &Definition,
    folder: &Path,
    validate: impl FnOnce(Definition) -> Vec<Problem>,
) -> (Definition, Vec<Problem>) {
    let (embedded, mut problems) = embedded(definition, folder);
    let found = validate(embedded.clone());
    // If a file is missing, the step appears to name an unknown workflow, or a workflow that
    // names an unknown workflow.
    let is_known = |found: &Problem| {
        let is_missing = matches!(found.code, "unknown_workflow" | "invalid_sub_workflow");
        is_missing && problems.iter().any(|problem| problem.place == found.place)
    };
    let other: Vec<Problem> = found.into_iter().filter(|found| !is_known(found)).collect();
    problems.extend(other);
    (embedded, problems)
}

#[derive(Default)]
struct Loader {
    /// The files being read, outermost first; detects cycles.
    around: Vec<PathBuf>,
}

/// The steps that name unreadable files, each with the reason.
type Unreadable = Vec<(ProblemLocation, String)>;

impl Loader {
    fn embed(&mut self, mut definition: Definition, folder: &Path) -> (Definition, Unreadable) {
        let mut unreadable = Unreadable::new();
        for (place, name) in named(&definition) {
            if definition.workflows.contains_key(&name) {
                continue;
            }
            let Some(file) = file(folder, &name) else { continue };
            let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if self.around.contains(&real) {
                // The engine reports cycles of workflows.
                continue;
            }
            match self.load(&file, real) {
                Ok((inner, reasons)) => {
                    unreadable.extend(reasons.into_iter().map(|(_, reason)| (place.clone(), reason)));
                    definition.workflows.insert(name, Arc::new(inner));
                }
                Err(reason) => unreadable.push((place, reason)),
            }
        }
        (definition, unreadable)
    }

    fn load(&mut self, file: &Path, real: PathBuf) -> Result<(Definition, Unreadable), String> {
        let source = Source::read(file).map_err(|failure| failure.message)?;
        let document = read(&source.text, &source.name, &StepTypes::new())
            .map_err(|diagnostics| format!("`{}` is not a valid workflow:\n{diagnostics}", file.display()))?;
        self.around.push(real);
        let inner = self.embed(document.definition, file.parent().unwrap_or(Path::new("")));
        self.around.pop();
        Ok(inner)
    }
}

/// Resolves `name`, which is a path with an extension, or the name without extension of a file
/// beside the definition or in `workflows`.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_file = Path::new(name).extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    if is_file {
        return Some(folder.join(name));
    }
    let folders = [folder.to_owned(), folder.join("workflows"), PathBuf::from("workflows")];
    let candidates = folders.iter().flat_map(|folder| ENDINGS.map(|ending| folder.join(format!("{name}.{ending}"))));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// Returns the steps that name other definitions, and the names.
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
