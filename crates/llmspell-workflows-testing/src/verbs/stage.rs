//! The stages of a run, and the effects of verbs on the stages.

use llmspell_workflows_basic::RunStatus;

use super::{
    ladder::{Edition, LadderId},
    model::{Ladders, Progress},
    verb::{Correcting, Deed, How, Verb},
    view::Seen,
};

/// The position of a run on its ladder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The run reaches the goal when it is resumed.
    Toward(Goal),
    /// The run rests at the goal.
    At(Goal),
    /// The run does not exist.
    Gone,
}

/// A point at which a run comes to rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// A rung of a ladder.
    Rung(LadderId, usize),
    /// The end of a run cancelled on its way to this rung.
    Cancelled(LadderId, usize),
}

impl Goal {
    pub(super) fn ladder(&self) -> &LadderId {
        match self {
            Self::Rung(ladder, _) | Self::Cancelled(ladder, _) => ladder,
        }
    }
}

impl Stage {
    pub(super) fn goal(&self) -> Option<&Goal> {
        match self {
            Self::Toward(goal) | Self::At(goal) => Some(goal),
            Self::Gone => None,
        }
    }

    /// Returns the rung at which the run rests or toward which it is heading.
    pub(super) fn rung(&self) -> Option<(&LadderId, usize)> {
        match self.goal()? {
            Goal::Rung(ladder, rung) => Some((ladder, *rung)),
            Goal::Cancelled(..) => None,
        }
    }

    pub(super) fn has_ended(&self, ladders: &Ladders) -> bool {
        match self {
            Self::At(Goal::Rung(ladder, rung)) => ladders[ladder].rungs[*rung].rest.status.has_ended(),
            Self::At(Goal::Cancelled(..)) => true,
            Self::Toward(_) | Self::Gone => false,
        }
    }
}

/// Returns the possible stages of a run after `verb` was committed in `stage`. The result is empty
/// if the verb must be refused.
pub(super) fn committed(
    deed: &Deed,
    stage: &Stage,
    ladders: &Ladders,
    is_complete: impl Fn(&Goal) -> bool,
) -> Vec<Stage> {
    let verb = &deed.verb;
    let exists = *stage != Stage::Gone;
    let is_open = exists && !stage.has_ended(ladders);
    let Some(goal) = stage.goal().cloned() else { return Vec::new() };
    let (Goal::Rung(ladder, rung) | Goal::Cancelled(ladder, rung)) = &goal;
    // If all steps of a run have ended, it can no longer be cancelled or given another definition,
    // even if its end is not recorded yet.
    let or_complete = |stage: Stage| match is_complete(&Goal::Rung(ladder.clone(), *rung)) {
        true => vec![stage, Stage::Toward(Goal::Rung(ladder.clone(), *rung))],
        false => vec![stage],
    };
    match verb {
        Verb::Resume | Verb::ResumeAndPause | Verb::ResumeAndCancel | Verb::Recover if is_open => vec![stage.clone()],
        Verb::Resolve | Verb::RunAgain if is_open && deed.stuck.is_some() => vec![stage.clone()],
        Verb::Retry => match stage {
            Stage::At(Goal::Rung(..)) if ladders[ladder].is_retried_at(*rung) => {
                vec![Stage::Toward(Goal::Rung(ladder.clone(), rung + 1))]
            }
            _ => Vec::new(),
        },
        Verb::Signal if is_open => match (&goal, ladders[ladder].signal_at(*rung)) {
            (Goal::Rung(..), Some(_)) => vec![Stage::Toward(Goal::Rung(ladder.clone(), rung + 1))],
            _ => vec![stage.clone()],
        },
        Verb::Cancel if is_open => or_complete(Stage::Toward(Goal::Cancelled(ladder.clone(), *rung))),
        Verb::Correct(Correcting { how: How::Fork { .. }, .. }) if exists => vec![stage.clone()],
        Verb::Correct(Correcting { how: How::Retry, .. }) => match stage {
            Stage::At(Goal::Rung(..)) if ladders[ladder].is_retried_at(*rung) => {
                continued(deed, stage, rung + 1, ladders)
            }
            _ => Vec::new(),
        },
        Verb::Correct(_) if is_open => {
            continued(deed, stage, *rung, ladders).into_iter().flat_map(or_complete).collect()
        }
        Verb::Migrate if is_open && deed.editions.iter().any(|edition| edition.is_corrected()) => {
            continued(deed, stage, *rung, ladders).into_iter().flat_map(or_complete).collect()
        }
        Verb::Migrate if is_open => {
            let next = LadderId { edition: Edition::Next, ..ladder.clone() };
            match (&goal, stage) {
                (Goal::Cancelled(..), _) => or_complete(Stage::Toward(Goal::Cancelled(next, *rung))),
                (_, Stage::At(_)) => vec![Stage::Toward(Goal::Rung(next, *rung))],
                _ => or_complete(Stage::Toward(Goal::Rung(next, *rung))),
            }
        }
        Verb::Delete | Verb::Prune if stage.has_ended(ladders) => vec![Stage::Gone],
        Verb::Export | Verb::Rerun | Verb::Fork { .. } | Verb::BackUp | Verb::Compact if exists => vec![stage.clone()],
        _ => Vec::new(),
    }
}

/// Returns the possible stages of a run after it was given a corrected definition. If the verb
/// keeps the result of the changed step, the run is on its way to `rung` of its former ladder.
fn continued(deed: &Deed, stage: &Stage, rung: usize, ladders: &Ladders) -> Vec<Stage> {
    let (Some(goal), Some(edition)) = (stage.goal(), deed.verb.edition()) else { return Vec::new() };
    let former = Stage::Toward(Goal::Rung(goal.ladder().clone(), rung));
    let keeps = matches!(&deed.verb, Verb::Correct(Correcting { keep: Some(_), .. }));
    if keeps && matches!(goal, Goal::Rung(..)) {
        // Without the result, there is nothing to keep.
        return deed.keeps_for_certain.then_some(former).into_iter().collect();
    }
    let next = LadderId { edition, ..goal.ladder().clone() };
    let last = ladders[&next].rungs.len() - 1;
    if let Goal::Cancelled(..) = goal {
        return vec![Stage::Toward(Goal::Cancelled(next, last))];
    }
    // Repeated steps may fail or wait once more, and failed steps may have been corrected.
    let mut stages: Vec<Stage> = (0..=last).map(|rung| Stage::Toward(Goal::Rung(next.clone(), rung))).collect();
    // The run may already have this definition.
    stages.extend(deed.editions.contains(&edition).then_some(former));
    stages
}

/// Returns the possible stages of a run after it was driven until it came to rest.
pub(super) fn settled(verb: &Verb, stage: &Stage, progress: &Progress, in_doubt: bool) -> Vec<Stage> {
    let mut settled = Vec::new();
    if let Stage::Toward(goal) = stage {
        settled.push(Stage::At(goal.clone()));
        // A stuck run is still on its way to its goal.
        if in_doubt || (progress.sent && *verb == Verb::ResumeAndPause) {
            settled.push(stage.clone());
        }
    } else {
        settled.push(stage.clone());
    }
    if progress.sent && *verb == Verb::ResumeAndCancel {
        settled.extend(cancelled(stage).into_iter().flat_map(|stage| match in_doubt {
            true => vec![Stage::At(stage.goal().expect("a cancelled run has a goal").clone()), stage],
            false => vec![Stage::At(stage.goal().expect("a cancelled run has a goal").clone())],
        }));
    }
    settled
}

/// Returns the stage of a run that is cancelled before it reaches its goal.
pub(super) fn cancelled(stage: &Stage) -> Option<Stage> {
    let (Goal::Rung(ladder, rung) | Goal::Cancelled(ladder, rung)) = stage.goal()?;
    Some(Stage::Toward(Goal::Cancelled(ladder.clone(), *rung)))
}

/// Returns whether a run in `stage` can look like `seen`.
pub(super) fn is_seen(stage: &Stage, seen: Option<&Seen>, ladders: &Ladders, in_doubt: bool) -> bool {
    let Some(seen) = seen else { return *stage == Stage::Gone };
    match stage {
        Stage::Gone => false,
        Stage::Toward(_) => !seen.status.has_ended() && (seen.status != RunStatus::Stuck || in_doubt),
        Stage::At(Goal::Rung(ladder, rung)) => match &ladders[ladder].rungs[*rung].rest {
            rest if rest.status.has_ended() || rest.status == RunStatus::Stuck => *rest == seen.rest,
            // A process killed while its runs wait may not have recorded that they are waiting.
            _ => !seen.status.has_ended() && seen.status != RunStatus::Stuck,
        },
        Stage::At(Goal::Cancelled(..)) => seen.status == RunStatus::Cancelled,
    }
}
