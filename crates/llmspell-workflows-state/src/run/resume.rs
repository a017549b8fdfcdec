//! Collects the data that the engine needs to resume a run.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use llmspell_workflows_basic::{
    StepPath,
    engine::{CancelReason, Cancelled, Compensable, Decision, DecisionKey, Outcome, Resume, UndoableStep},
};
use serde_json::Value;
use uuid::Uuid;

use super::{RunState, StepState, state::generation_of};
use crate::record::End;

impl RunState {
    /// Returns whether a step has received the message with this number.
    #[must_use]
    pub fn has_received(&self, message: u64) -> bool {
        self.received.contains(&message)
    }

    /// Returns the numbers of the signals sent to the enclosing run `run` that this run's steps
    /// have received.
    pub fn received_of(&self, run: Uuid) -> impl Iterator<Item = u64> {
        self.received_of_others.iter().filter(move |(other, _)| *other == run).map(|(_, number)| *number)
    }

    /// Returns the data that the engine needs to resume `run`, or `None` if the run was never
    /// started.
    #[must_use]
    pub fn resume(&self, run: Uuid) -> Option<Resume> {
        let started = self.started.as_ref()?;
        let paths: Vec<StepPath> = self.steps.keys().filter_map(|path| path.parse().ok()).collect();
        let last_record = started.at.checked_add(Duration::from_micros(self.latest_us)).unwrap_or(Timestamp::MAX);
        let ahead = SignedDuration::from_micros(i64::try_from(self.ahead_us).unwrap_or(i64::MAX));
        let resume = Resume::new(run, started.at).with_last_record(last_record).with_clock_ahead(ahead);
        let resume =
            resume.with_state(started.state.clone()).with_env(started.env.clone()).with_output_bytes(self.output_bytes);
        let resume = resume.with_recorded(&paths).with_received(self.received.iter().copied());
        let resume = resume.with_reentered(self.reentered.iter().map(|(path, generation)| (path.clone(), *generation)));
        let mut undoable: Vec<_> = self.steps.iter().filter_map(|(path, step)| self.undoable(path, step)).collect();
        undoable.extend(self.steps.iter().flat_map(|(path, step)| earlier_children(path, step)));
        undoable.sort_by_key(|(nth, _)| *nth);
        let cut_off = self.cut_off();
        let with_undo = undoable.iter().filter_map(|(_, step)| match step {
            UndoableStep::Step(path, ..) => Some(path),
            // The child run itself records whether it has been undone.
            UndoableStep::Child(..) => None,
        });
        let all = with_undo.chain(cut_off.iter().map(|(path, _)| path));
        let undone: Vec<(StepPath, bool)> = all.filter_map(|path| self.undone(path)).collect();
        let resume = resume.with_undoable(undoable.into_iter().map(|(_, step)| step)).with_undone(undone);
        let cuts = self.steps.iter().map(|(path, step)| (path.clone(), step.crashes())).filter(|(_, cuts)| *cuts > 0);
        let resume = resume.with_cut_off(cut_off).with_cancel(self.cancel).with_cuts(cuts);
        let open = self.steps.iter().filter(|(_, step)| step.end.is_none() && step.child().is_some());
        let open = open.filter_map(|(path, _)| path.parse().ok());
        // Steps already known to be stuck do not count as interrupted; they wait to be resolved.
        let interrupted = self.steps.iter().filter(|(_, step)| step.is_executing && step.end.is_none());
        let interrupted = interrupted.filter_map(|(path, _)| path.parse().ok());
        let resume = resume.with_open_children(open).with_interrupted(interrupted);
        Some(resume.with_inputs(self.inputs.iter().map(|(path, input)| (path.clone(), input.clone()))))
    }

    /// Returns the step and its position in the order in which steps ended, if it has ended and
    /// can be compensated.
    fn undoable(&self, path: &str, step: &StepState) -> Option<(u64, UndoableStep)> {
        let ended = step.end.as_ref()?;
        let outcome = || self.outcome(path, &ended.end).ok();
        let parsed = || path.parse().ok();
        let undoable = match (step.decision(&DecisionKey::Compensable), step.child()) {
            (Some(Decision::Compensable(Compensable::With(input))), _) => {
                UndoableStep::Step(parsed()?, input.clone(), outcome()?)
            }
            // A fork does not undo the steps of its original run.
            (Some(_), _) => return None,
            (None, Some(child)) => UndoableStep::Child(parsed()?, child, outcome()?),
            (None, None) => return None,
        };
        Some((ended.nth, undoable))
    }

    /// Returns the compensable steps that began but did not end, with their inputs, in the order in
    /// which they began.
    fn cut_off(&self) -> Vec<(StepPath, Arc<Value>)> {
        let begun = self.steps.iter().filter(|(_, step)| step.end.is_none());
        let mut begun: Vec<_> = begun
            .filter_map(|(path, step)| {
                let number = step.decisions.get(&DecisionKey::Compensable)?.number;
                Some((number, path.parse().ok()?, Self::compensable(step)?.clone()))
            })
            .collect();
        begun.sort_by_key(|(number, ..)| *number);
        begun.into_iter().map(|(_, path, input)| (path, input)).collect()
    }

    /// Returns the path, with `true` if the step was compensated and `false` if it was resolved without compensation.
    /// Returns `None` if neither happened.
    fn undone(&self, path: &StepPath) -> Option<(StepPath, bool)> {
        let entry = format!("{path}/$undo");
        let undo = self.reentered.get(&entry).map_or_else(|| entry.clone(), |at| generation_of(&entry, *at));
        match self.end(&undo)? {
            End::Completed { .. } => Some((path.clone(), true)),
            End::Skipped(_) => Some((path.clone(), false)),
            End::Failed(_) | End::Cancelled(_) => None,
        }
    }
}

/// Returns the children of a sub-workflow step's ended attempts, except for that of the attempt that ended the step, each
/// with its position in the order in which steps ended.
fn earlier_children(path: &str, step: &StepState) -> Vec<(u64, UndoableStep)> {
    let Ok(path) = path.parse::<StepPath>() else { return Vec::new() };
    // Only the child itself knows how it ended. The attempts of an unfinished step ended after all finished steps.
    let outcome = Outcome::cancelled(Cancelled::new(CancelReason::Timeout));
    let nth = step.end.as_ref().map_or(u64::MAX, |ended| ended.nth);
    let children = step.decisions().filter_map(|(number, decision)| match decision {
        Decision::Child(attempt, child) => Some((number, *attempt, child.run)),
        _ => None,
    });
    let has_ended = |attempt: u32| step.decision(&DecisionKey::Attempt(attempt)).is_some();
    let mut children: Vec<_> = children.filter(|(_, attempt, _)| has_ended(*attempt)).collect();
    children.sort_unstable();
    let ended = children.into_iter().filter(|(.., child)| step.end.is_none() || Some(*child) != step.child());
    ended.map(|(.., child)| (nth, UndoableStep::Child(path.clone(), child, outcome.clone()))).collect()
}
