//! Helpers that read snippets.

use llmspell_workflows_basic::model::{Definition, Step, StepKind};
use llmspell_workflows_definition::{StepTypes, read};

/// Reads a definition.
pub(crate) fn definition(text: &str) -> Definition {
    read(text, "snippet.yaml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).definition
}

/// Reads a list of steps.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    match definition(&format!("{{name: x, steps: {text}}}")).body {
        StepKind::Sequence(steps) => steps.iter().map(|step| (**step).clone()).collect(),
        other => panic!("expected a sequence, got {other:?}"),
    }
}

/// Reads a single step.
pub(crate) fn step(text: &str) -> Step {
    let [step] = steps(&format!("[{text}]")).try_into().expect("the text contains one step");
    step
}
