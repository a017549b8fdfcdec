use llmspell_workflows_basic::{
    StepError,
    engine::{SchemaCheck, Violation},
    model::*,
};
use serde_json::Value;

/// What the activities of generated definitions do: what fails, and for how many attempts, follows from the input.
pub(crate) fn probe(input: &Value, attempt: u32) -> Result<Value, StepError> {
    let value = input.get("value").or_else(|| input.get("input")).unwrap_or(input);
    match value.to_string().len() % 7 {
        0 => Err(StepError::transient("probe", "it fails")),
        1 => Err(StepError::validation("probe", "it fails for good")),
        2 if attempt == 1 => Err(StepError::transient("probe", "it fails once")),
        _ => Ok(input.clone()),
    }
}

/// Takes everything for valid.
pub(crate) struct AnySchema;

impl SchemaCheck for AnySchema {
    fn check(&self, _schema: &Value, _data: &Value) -> Result<Vec<Violation>, String> {
        Ok(Vec::new())
    }
}

/// The same definition without what makes its outcome depend on which branch is faster.
pub(crate) fn settled(mut definition: Definition) -> Definition {
    definition.retry_budget = None;
    let mut root = Step::new("main", definition.body);
    settle(&mut root);
    definition.body = root.kind;
    definition
}

fn settle(step: &mut Step) {
    match &mut step.kind {
        StepKind::Sequence(steps) => settle_all(steps),
        StepKind::Conditional(inner) => {
            settle_all(&mut inner.then);
            settle_all(&mut inner.otherwise);
        }
        StepKind::Switch(switch) => {
            switch.cases.iter_mut().for_each(|case| settle_all(&mut case.steps));
            settle_all(&mut switch.default);
        }
        StepKind::Route(route) => settle_all(&mut route.steps),
        StepKind::Loop(settings) => {
            if settings.mode == IterationMode::Parallel && settings.on_error == IterationErrors::Stop {
                settings.on_error = IterationErrors::Collect;
            }
            settle_all(&mut settings.steps);
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
            parallel.branches.iter_mut().for_each(|branch| settle(std::sync::Arc::make_mut(&mut branch.step)));
        }
        _ => {}
    }
}

fn settle_all(steps: &mut Steps) {
    steps.iter_mut().for_each(|step| settle(std::sync::Arc::make_mut(step)));
}
