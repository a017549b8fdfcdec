//! Makes the outcomes of generated definitions comparable. The results of activities depend only on their input, and
//! races are removed.

use std::sync::Arc;

use llmspell_workflows_basic::{
    StepError,
    model::{
        Aggregation, Definition, ErrorMode, IterationErrors, IterationMode, OnConflict, OnError, Step, StepKind, Steps,
    },
};
use serde_json::Value;

/// Performs the activities of generated definitions. The input determines whether an activity fails, and how many
/// attempts fail.
///
/// # Errors
/// Returns an error for some inputs, either once or permanently.
pub fn probe(input: &Value, attempt: u32) -> Result<Value, StepError> {
    let value = input.get("value").or_else(|| input.get("input")).unwrap_or(input);
    match value.to_string().len() % 7 {
        0 => Err(StepError::transient("probe", "it fails")),
        1 => Err(StepError::validation("probe", "it fails permanently")),
        2 if attempt == 1 => Err(StepError::transient("probe", "it fails once")),
        _ => Ok(input.clone()),
    }
}

/// Returns the definition without the settings that make its outcome depend on which branch is faster.
#[must_use]
pub fn settled(mut definition: Definition) -> Definition {
    definition.retry_budget = None;
    let mut root = Step::new("main", definition.body);
    settle(&mut root);
    definition.body = root.kind;
    settle_all(&mut definition.on_error);
    settle_all(&mut definition.finally);
    definition
}

fn settle(step: &mut Step) {
    if let OnError::Steps(steps) = &mut step.on_error {
        settle_all(steps);
    }
    match &mut step.kind {
        StepKind::Loop(settings)
            if settings.mode == IterationMode::Parallel && settings.on_error == IterationErrors::Stop =>
        {
            settings.on_error = IterationErrors::Collect;
        }
        StepKind::Parallel(parallel) => {
            if parallel.aggregation == Aggregation::First {
                parallel.aggregation = Aggregation::All;
            }
            if parallel.error_mode == ErrorMode::FailFast {
                parallel.error_mode = ErrorMode::FailSlow;
            }
            if parallel.on_conflict == OnConflict::First {
                parallel.on_conflict = OnConflict::Last;
            }
        }
        // In no other kind does the fastest of several concurrent steps decide the outcome.
        _ => {}
    }
    step.kind.steps_mut().into_iter().for_each(|step| settle(Arc::make_mut(step)));
}

fn settle_all(steps: &mut Steps) {
    steps.iter_mut().for_each(|step| settle(Arc::make_mut(step)));
}
