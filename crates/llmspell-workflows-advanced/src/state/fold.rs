//! The state of a run out of its records.

use std::collections::HashMap;

use llmspell_workflows_basic::{
    StepPath, WorkflowState,
    engine::{Decision, Outcome, Output},
    state::Change,
};
use llmspell_workflows_hooks::{HookPoint, Verdict, recorded_answer};
use llmspell_workflows_state::{History, Record};
use serde_json::Value;

/// The state after `records`: what the completed steps directly below the root have changed, in the order in which they
/// ended, or what the run as a whole has, where it has completed. A block counts once it has ended.
///
/// # Errors
/// What is recorded makes no sense; the text says why.
pub(crate) fn state_of(records: &[Record]) -> Result<WorkflowState, String> {
    let Some(history) = History::read(records)? else { return Ok(WorkflowState::default()) };
    let first = Value::Object(history.started.state.clone());
    let mut state = restored(history.started.input.clone(), &first);
    let mut apply = |changes: &[Change], at| {
        // What could be applied when it was made can be applied again.
        changes.iter().try_for_each(|change| state.apply(change.clone(), at)).map_err(|error| error.to_string())
    };
    if let Some((Outcome::Completed(output), at)) = &history.end {
        apply(&output.state_changes, *at)?;
        return Ok(state);
    }
    let at = history.started.at;
    records.iter().try_for_each(|record| apply(&answered(record), at))?;
    let counts = counting(records);
    let mut ended: Vec<_> = history.steps.iter().filter_map(|step| Some((step.ended?, step))).collect();
    ended.sort_by_key(|(ended, _)| *ended);
    for (_, step) in ended {
        let is_top = step.path.parse::<StepPath>().is_ok_and(|path| path.segments().len() == 2);
        if let Some(Outcome::Completed(Output { state_changes, .. })) = &step.outcome
            && is_top
            && counts(&step.path)
        {
            apply(state_changes, at)?;
        }
    }
    Ok(state)
}

/// What a hook before the run has changed.
fn answered(record: &Record) -> Vec<Change> {
    let Record::Decided { path, index, decision: Decision::Answer(Some(answer)) } = record else { return Vec::new() };
    let is_first = path == "/main" && recorded_answer(*index) == Some(HookPoint::BeforeWorkflowStart);
    let verdict = is_first.then(|| serde_json::from_value::<Verdict>(Value::clone(answer)).ok()).flatten();
    verdict.map(|verdict| verdict.state).unwrap_or_default()
}

/// Whether what is recorded at a path still counts: a step that happens again is recorded as its next generation.
fn counting(records: &[Record]) -> impl Fn(&str) -> bool + use<> {
    let mut current: HashMap<String, u32> = HashMap::new();
    for record in records {
        let Record::Rewound(rewound) = record else { continue };
        for (entry, generation) in &rewound.reentered {
            current.insert(entry.clone(), *generation);
        }
    }
    move |path| {
        let generation = |path: &StepPath| path.segments().last().map_or(1, |segment| segment.generation);
        let Ok(path) = path.parse::<StepPath>() else { return false };
        current.iter().all(|(entry, now)| {
            let Ok(entry) = entry.parse::<StepPath>() else { return true };
            let is_same =
                entry.with_generation(1) == path.with_generation(1) && generation(&path) >= generation(&entry);
            !is_same || generation(&path) >= *now
        })
    }
}

/// A state with these keys, on the input of `before`.
pub(crate) fn restored(input: Value, keys: &Value) -> WorkflowState {
    let mut state = WorkflowState::new(input);
    for (key, value) in keys.as_object().into_iter().flatten() {
        let change = Change::key(key.clone(), value.clone());
        state.apply(change, jiff::Timestamp::UNIX_EPOCH).expect("nothing lies on the way to a key of the whole");
    }
    state
}
