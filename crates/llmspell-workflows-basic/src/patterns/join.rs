use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    Problem, ProblemLocation, StepError,
    engine::{Call, Outcome, choice},
    model::{OnConflict, Pattern},
    plan::Builder,
    state::{self, Change, Edit, Joined, Side},
};

/// Returns how many children may run at once: the block's own limit, or the engine's
/// limit if the block has none.
pub(super) fn limit(call: &Call, own: Option<u32>) -> usize {
    own.unwrap_or(call.run().limits().parallelism_max).max(1) as usize
}

/// Joins the changes of branches; an unresolved conflict fails the block.
pub(super) fn join_changes(call: &Call, sides: &[Side], policy: &OnConflict) -> Result<Joined, Outcome> {
    let mut failure = None;
    let mut resolve = |name: &str, conflict: &state::Conflict| {
        let resolver = call.run().engine().functions().resolver(name)?;
        let resolved = catch_unwind(AssertUnwindSafe(|| resolver(conflict)));
        let resolved = resolved.unwrap_or_else(|panic| Err(StepError::panicked(&*panic)));
        resolved.map_err(|error| failure = Some(error)).ok()
    };
    let joined = state::join(call.state(), sides, policy, &mut resolve);
    joined.map_err(|conflict| {
        if let Some(error) = failure.take() {
            return call.failed(error);
        }
        conflict_outcome(call, conflict)
    })
}

/// Returns the joined changes, with a recorded value for each conflict resolved by `on_conflict`.
pub(super) async fn resolved_changes(call: &Call, mut joined: Joined) -> Result<Vec<Change>, Outcome> {
    for (index, position) in joined.resolved.iter().enumerate() {
        let change = &mut joined.changes[*position];
        let chosen = change.value().map(|value| (**value).clone()).unwrap_or_default();
        let decided = call.decide(choice::Resolved(index as u64), chosen).await;
        let chosen = decided.map_err(|error| call.failed(error))?;
        let message = format!("`{}` was set to different values; `on_conflict` chose {chosen}", change.path);
        change.edit = Edit::Set(Arc::new(chosen));
        call.run().warn("state_conflict_resolved", call.path(), message);
    }
    Ok(joined.changes)
}

/// Reports an unregistered conflict resolver of the block at `path`.
pub(super) fn check_resolver(builder: &mut Builder<'_>, on_conflict: &OnConflict, path: &str) {
    if let OnConflict::Custom(name) = on_conflict
        && !builder.engine.functions().has_resolver(name)
    {
        let place = ProblemLocation::new(path, "on_conflict");
        let problem = Problem::error("unknown_function", place, format!("unknown conflict resolver `{name}`"));
        builder.problems.push(problem.with_known(name, OnConflict::WORDS.map(|(word, _)| word)));
    }
}

/// Returns the outcome of a block that failed because of `conflict`.
pub(super) fn conflict_outcome(call: &Call, conflict: state::Conflict) -> Outcome {
    let names: Vec<_> = conflict.values.iter().map(|(name, _)| format!("`{name}`")).collect();
    let message = format!(
        "{} set `{}` in the state to different values; {}",
        names.join(" and "),
        conflict.path,
        advice(call.step().kind.pattern())
    );
    let values: serde_json::Map<_, _> = conflict.values.into_iter().collect();
    call.failed(StepError::validation("state_conflict", message).with_details(values.into()))
}

/// Returns advice on how to keep a block's steps from setting a part of the
/// state to different values.
fn advice(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Parallel | Pattern::Loop => "set `on_conflict` to choose one",
        Pattern::List | Pattern::Choice | Pattern::Route | Pattern::Leaf => {
            "make one of them depend on the other, so that the later value is kept"
        }
    }
}
