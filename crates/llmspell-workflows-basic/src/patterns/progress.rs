use std::sync::Arc;

use crate::{
    engine::{Call, CallContext, Outcome, Output, Scope, StepStatus, VisibleResult},
    state::{Change, SharedValue, WorkflowState},
};

/// The progress of a composite: the state that its next step sees, and the changes so far.
pub(super) struct Progress {
    pub(super) state: Arc<WorkflowState>,
    changes: Vec<Change>,
}

/// Applies the `outputs` of the root step `call` to its outcome.
pub(crate) fn with_outputs(call: &Call, outcome: Outcome) -> Outcome {
    let Outcome::Completed(Output { value, state_changes }) = outcome else { return outcome };
    let mut progress = Progress::new(call);
    match progress.apply(call, state_changes) {
        Ok(()) => progress.finish(call, None, value),
        Err(outcome) => outcome,
    }
}

impl Progress {
    pub(super) fn new(call: &Call) -> Self {
        Self { state: call.context.state.clone(), changes: Vec::new() }
    }

    /// Returns whether the state differs from the state of `context`.
    pub(super) fn has_changed(&self, context: &CallContext) -> bool {
        !Arc::ptr_eq(&self.state, &context.state)
    }

    /// Applies the outcome of a child; returns `Err` with the outcome of the composite if the child ends it.
    pub(super) fn take(&mut self, call: &Call, outcome: Outcome) -> Result<VisibleResult, Outcome> {
        match outcome {
            Outcome::Completed(output) => {
                self.apply(call, output.state_changes)?;
                Ok(VisibleResult { status: StepStatus::Completed, value: output.value, error: None })
            }
            Outcome::Skipped(_) => {
                Ok(VisibleResult { status: StepStatus::Skipped, value: SharedValue::default(), error: None })
            }
            Outcome::Failed(failure) if failure.handled => {
                let error = Some(Arc::new(*failure.error));
                Ok(VisibleResult { status: StepStatus::Failed, value: SharedValue::default(), error })
            }
            outcome => Err(outcome),
        }
    }

    /// Applies `changes` to the state.
    pub(super) fn apply(&mut self, call: &Call, changes: Vec<Change>) -> Result<(), Outcome> {
        if changes.is_empty() {
            return Ok(());
        }
        let now = call.run().now();
        let state = Arc::make_mut(&mut self.state);
        for change in &changes {
            state
                .apply(change.clone(), now)
                .map_err(|error| call.failed(crate::StepError::validation("state_blocked", error.to_string())))?;
        }
        self.changes.extend(changes);
        Ok(())
    }

    /// Completes the composite with `value`, or with its `outputs` evaluated in `scope`.
    pub(super) fn finish(self, call: &Call, scope: Option<&Arc<Scope>>, value: SharedValue) -> Outcome {
        let value = match &call.node().outputs {
            None => value,
            Some(outputs) => {
                let scope = scope.cloned().or_else(|| call.context.scope.clone());
                let inner = call.seeing(scope, self.state.clone());
                match outputs.render(&inner.view()) {
                    Ok(value) => value.into(),
                    Err(error) => return call.failed(error.into()),
                }
            }
        };
        Outcome::Completed(Output { value, state_changes: self.changes })
    }
}
