//! Reading snippets.

use llmspell_workflows_basic::model::{Definition, Step, StepKind};
use llmspell_workflows_definition::{StepTypes, read};

/// The definition that `text` stands for.
pub(crate) fn definition(text: &str) -> Definition {
    read(text, "snippet.yaml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).definition
}

/// The steps of the definition whose `steps` are `text`.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    match definition(&format!("{{name: x, steps: {text}}}")).body {
        StepKind::Sequence(steps) => steps.iter().map(|step| (**step).clone()).collect(),
        other => panic!("a sequence was meant, not {other:?}"),
    }
}

/// The one step that `text` stands for.
pub(crate) fn step(text: &str) -> Step {
    let [step] = steps(&format!("[{text}]")).try_into().expect("the text is one step");
    step
}
