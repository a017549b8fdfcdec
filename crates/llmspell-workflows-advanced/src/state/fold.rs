//! Computes the state of a run from its records.

use llmspell_workflows_basic::{
    StepPath, WorkflowState,
    engine::{Decision, DecisionKey, Outcome, Output},
    state::Change,
};
use llmspell_workflows_hooks::{HookPoint, Verdict};
use llmspell_workflows_state::{History, Record, RunState};
use serde_json::Value;

/// Returns the state after `records`.
///
/// If the run has completed, applies the changes of the whole run. Otherwise applies the changes of the completed steps
/// directly below the root, in the order in which the steps ended. Changes in a block are applied once the block has
/// ended.
///
/// # Errors
/// Returns an error if the records are inconsistent; the message explains how.
pub(crate) fn state_of(records: &[Record]) -> Result<WorkflowState, String> {
    let Some((history, recorded)) = History::with_state(records)? else { return Ok(WorkflowState::default()) };
    let initial = Value::Object(history.started.state.clone());
    let mut state = state_with_keys(history.started.input.clone(), &initial);
    let mut apply = |changes: &[Change], at| {
        // A change that could be applied when it was recorded can be applied again.
        changes.iter().try_for_each(|change| state.apply(change.clone(), at)).map_err(|error| error.to_string())
    };
    if let Some((Outcome::Completed(output), at)) = &history.end {
        apply(&output.state_changes, *at)?;
        return Ok(state);
    }
    let at = history.started.at;
    apply(&hook_changes(&recorded), at)?;
    let is_current = is_current_generation(&recorded);
    let mut ended: Vec<_> = history.steps.iter().filter_map(|step| Some((step.ended?, step))).collect();
    ended.sort_by_key(|(ended, _)| *ended);
    for (_, step) in ended {
        let is_top = step.path.parse::<StepPath>().is_ok_and(|path| path.segments().len() == 2);
        if let Some(Outcome::Completed(Output { state_changes, .. })) = &step.outcome
            && is_top
            && is_current(&step.path)
        {
            apply(state_changes, at)?;
        }
    }
    Ok(state)
}

/// Returns the changes that hooks made before the run.
fn hook_changes(recorded: &RunState) -> Vec<Change> {
    let key = DecisionKey::HookAnswer(HookPoint::BeforeWorkflowStart.as_str().into(), 0);
    let Some(Decision::HookAnswer(_, _, answer)) = recorded.decision("/main", &key) else { return Vec::new() };
    serde_json::from_value::<Verdict>(Value::clone(answer)).map(|verdict| verdict.state).unwrap_or_default()
}

/// Returns a predicate that tells whether the record at a path is from the step's current
/// generation.
/// A step that runs again is recorded as its next generation.
fn is_current_generation(recorded: &RunState) -> impl Fn(&str) -> bool + use<'_> {
    move |path| {
        let generation = |path: &StepPath| path.segments().last().map_or(1, |segment| segment.generation);
        let Ok(path) = path.parse::<StepPath>() else { return false };
        recorded.reentered().iter().all(|(entry, now)| {
            let Ok(entry) = entry.parse::<StepPath>() else { return true };
            let is_same =
                entry.with_generation(1) == path.with_generation(1) && generation(&path) >= generation(&entry);
            !is_same || generation(&path) >= *now
        })
    }
}

/// Returns a state with the given input and keys.
pub(crate) fn state_with_keys(input: Value, keys: &Value) -> WorkflowState {
    let mut state = WorkflowState::new(input);
    for (key, value) in keys.as_object().into_iter().flatten() {
        let change = Change::key(key.clone(), value.clone());
        state.apply(change, jiff::Timestamp::UNIX_EPOCH).expect("a top-level key can always be set");
    }
    state
}
