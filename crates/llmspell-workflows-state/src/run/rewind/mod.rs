//! Finds the parts of a run that run again after a rewind, and the parts to keep.

mod again;
mod correct;
mod fork;
mod migrate;
mod retry;
mod state;
mod undone;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Plan, StepPath,
    engine::{Decision, DecisionKey},
    model::{Effect, StepKind},
};
use uuid::Uuid;

pub use correct::{Cause, Corrected, Correction, RunsAgain};

use super::{RunState, StepState, state::Subject};
use crate::record::{ChoiceRef, End, Record, Rewound};

/// Why a run cannot be rewound as requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewindError {
    /// No recorded step matches.
    #[error("no recorded step matches `{given}`; recorded steps include {}", known.join(", "))]
    UnknownStep {
        /// The requested step.
        given: String,
        /// Some recorded steps.
        known: Vec<String>,
    },
    /// More than one step matches.
    #[error("`{given}` could be any of {}", candidates.join(", "))]
    AmbiguousStep {
        /// The requested step.
        given: String,
        /// The matching steps.
        candidates: Vec<String>,
    },
    /// No step failed.
    #[error("nothing to retry: no step in the run has failed")]
    NothingFailed,
    /// The step takes no input.
    #[error("the step at {path} takes no input: it calls neither an activity nor a workflow")]
    NoInput {
        /// The step's path.
        path: String,
    },
    /// An input was given without a step.
    #[error("an input was given without a step; name the step to start from")]
    InputForNoStep,
    /// A step is to be kept although it has been undone.
    #[error("cannot keep the result of {path}: the step has been undone, so it has to run again")]
    KeepsUndone {
        /// The step's path.
        path: String,
    },
    /// The records do not match the definition or each other.
    #[error("the records are inconsistent: {0}")]
    Damaged(String),
}

impl RewindError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownStep { .. } => "step_not_found",
            Self::AmbiguousStep { .. } => "ambiguous_step",
            Self::NoInput { .. } | Self::InputForNoStep => "no_step_input",
            Self::NothingFailed => "nothing_failed",
            Self::KeepsUndone { .. } => "step_undone",
            Self::Damaged(_) => "journal_failed",
        }
    }
}

/// The valid records of a run, used to find the steps that run again when the run resumes from an earlier point.
///
/// The following steps run again: the requested steps; the steps after them in each enclosing list,
/// route and loop; their dependents in a graph; cancelled siblings; and handlers. The enclosing
/// blocks are reopened, and repeat the choices made after those steps began.
#[derive(Debug)]
pub struct Rewinding<'a> {
    plan: &'a Plan,
    state: RunState,
    /// Each valid step, with the number of the first record at or under it.
    first: BTreeMap<StepPath, u64>,
    /// The last generation of each step, by the path of its first entry.
    generations: HashMap<String, u32>,
    again: Again,
}

/// The steps that run again, and the choices to make again.
#[derive(Debug, Default)]
struct Again {
    reopened: BTreeSet<String>,
    undecided: BTreeSet<ChoiceRef>,
    /// Each leaf's entry path and next generation, by the leaf's path.
    leaves: BTreeMap<String, (String, u32)>,
    /// The leaves that have begun but not ended, and restart at the same path.
    restarted: BTreeSet<String>,
    /// The steps that never run again.
    kept: HashSet<StepPath>,
    /// Why each leaf runs again, by its path.
    causes: BTreeMap<String, Cause>,
    /// The leaves that would run again even if they had not failed, since an earlier step runs
    /// again.
    following: BTreeSet<String>,
    /// Why the steps being marked run again.
    cause: Cause,
}

impl<'a> Rewinding<'a> {
    /// Reads the records of a run that uses `plan`.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent.
    pub fn new(plan: &'a Plan, records: &[Record]) -> Result<Self, RewindError> {
        let mut new = Self {
            plan,
            state: RunState::default(),
            first: BTreeMap::new(),
            generations: HashMap::new(),
            again: Again::default(),
        };
        for record in records {
            let number = new.state.count();
            match new.state.apply_next(record).map_err(|error| RewindError::Damaged(error.to_string()))? {
                Subject::Step(path, _) => path.parse().into_iter().for_each(|path| new.note(number, &path)),
                Subject::Rewound(former) => new.invalidate(&former),
                Subject::Run => {}
            }
        }
        Ok(new)
    }

    fn note(&mut self, number: u64, path: &StepPath) {
        for length in 1..=path.segments().len() {
            let prefix = StepPath::new(path.segments()[..length].to_vec());
            let generation = prefix.segments()[length - 1].generation;
            let last = self.generations.entry(prefix.with_generation(1).to_string()).or_insert(1);
            *last = generation.max(*last);
            self.first.entry(prefix).or_insert(number);
        }
    }

    /// Invalidates the steps at these paths and everything inside them.
    fn invalidate(&mut self, former: &[String]) {
        let former: HashSet<StepPath> = former.iter().filter_map(|path| path.parse().ok()).collect();
        let is_inside = |path: &StepPath| {
            (1..=path.segments().len())
                .any(|length| former.contains(&StepPath::new(path.segments()[..length].to_vec())))
        };
        self.first.retain(|path, _| !is_inside(path));
    }

    fn end(&self, path: &str) -> Option<&End> {
        self.state.end(path)
    }

    fn has_begun(&self, path: &str) -> bool {
        self.state.step(path).is_some_and(StepState::is_activity)
    }

    /// Returns the step named by `given`, a path or a suffix of a path, with or without
    /// generations.
    ///
    /// # Errors
    /// Returns an error if no step or more than one step matches.
    pub fn find(&self, given: &str) -> Result<StepPath, RewindError> {
        let suffix = format!("/{}", given.trim_start_matches('/'));
        let all = || self.first.keys().filter(|path| path.segments().len() > 1);
        if let Some(exact) = all().find(|path| path.to_string() == given) {
            return Ok(exact.clone());
        }
        let mut candidates: Vec<_> = all().filter(|path| path.to_string().ends_with(&suffix)).collect();
        if candidates.is_empty() {
            // A name without generations also matches a step that was retried.
            candidates = all().filter(|path| path.without_generations().to_string().ends_with(&suffix)).collect();
        }
        match candidates.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let known = all().take(12).map(ToString::to_string).collect();
                Err(RewindError::UnknownStep { given: given.to_owned(), known })
            }
            several => {
                let candidates = several.iter().take(12).map(ToString::to_string).collect();
                Err(RewindError::AmbiguousStep { given: given.to_owned(), candidates })
            }
        }
    }

    /// Runs the step at `target`, which [`Self::find`] returned, and all following steps again.
    pub fn from(&mut self, target: &StepPath) {
        self.redo(target);
        self.reopen_around(target);
    }

    /// Checks that the step at `target` takes an input when it runs again.
    ///
    /// # Errors
    /// Returns an error if the step calls neither an activity nor a workflow.
    pub fn check_input(&self, target: &StepPath) -> Result<(), RewindError> {
        let takes_one = |kind: &StepKind| kind.traits().effect != Effect::None;
        let is_right = self.plan.step(target).is_none_or(|step| takes_one(&step.kind));
        if is_right { Ok(()) } else { Err(RewindError::NoInput { path: target.to_string() }) }
    }

    /// Returns whether no step runs again and no choice is made again.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let Again { reopened, undecided, leaves, .. } = &self.again;
        reopened.is_empty() && undecided.is_empty() && leaves.is_empty()
    }

    /// Returns whether the step at `path` would lose its sub-workflow's run.
    #[must_use]
    pub fn loses_child(&self, path: &StepPath) -> bool {
        let text = path.to_string();
        let is_lost = |at: &ChoiceRef| at.path == text && matches!(at.key, DecisionKey::Child(_));
        self.again.leaves.contains_key(&text) || self.again.undecided.iter().any(is_lost)
    }

    /// Returns the recorded steps that are missing from the plan or have a different kind there.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let is_missing = |path: &&StepPath| {
            let text = path.to_string();
            let has_run = self.end(&text).is_some() || self.has_begun(&text);
            has_run && self.plan.step(path).is_none()
        };
        self.first.keys().filter(is_missing).map(ToString::to_string).collect()
    }

    /// Runs the leaf at `target` again; its enclosing steps must not have ended.
    pub fn run_again(&mut self, target: &StepPath) {
        self.reenter(target);
    }

    /// Reopens the step at `target`, which resumes where it stopped, and runs the following steps again.
    pub fn reopen(&mut self, target: &StepPath) {
        let text = target.to_string();
        self.undecide(&text, |_, _| true);
        self.again.reopened.insert(text);
        self.reopen_around(target);
    }

    /// Returns the sub-workflow runs started by valid steps, in the order in which they were
    /// recorded.
    #[must_use]
    pub fn children(&self) -> Vec<(StepPath, Uuid)> {
        let mut children = Vec::new();
        for (path, step) in self.state.steps() {
            for (number, decision) in step.decisions() {
                if let (Decision::Child(_, child), Ok(path)) = (decision, path.parse()) {
                    children.push((number, path, child.run));
                }
            }
        }
        children.sort_unstable_by_key(|(number, ..)| *number);
        children.into_iter().map(|(_, path, run)| (path, run)).collect()
    }

    /// Returns the sub-workflow runs of the steps that run again or have not ended.
    #[must_use]
    pub fn unfinished_children(&self) -> Vec<(StepPath, Uuid)> {
        let is_unfinished = |path: &StepPath| {
            let text = path.to_string();
            self.again.leaves.contains_key(&text) || (self.end(&text).is_none() && self.first.contains_key(path))
        };
        self.children().into_iter().filter(|(path, _)| is_unfinished(path)).collect()
    }

    /// Returns the sub-workflow runs of the latest attempts that have not ended, each with its step.
    /// Such a run may have ended without the step noticing.
    #[must_use]
    pub fn current_children(&self) -> Vec<(StepPath, Uuid)> {
        let current = |(path, run): (StepPath, Uuid)| {
            let step = self.state.step(&path.to_string()).filter(|step| step.end().is_none())?;
            let attempt = step.decisions().find_map(|(_, decision)| match decision {
                Decision::Child(attempt, child) if child.run == run => Some(*attempt),
                _ => None,
            })?;
            let is_over = step.decision(&DecisionKey::Attempt(attempt)).is_some();
            let is_current = step.child() == Some(run) && !is_over && self.first.contains_key(&path);
            is_current.then_some((path, run))
        };
        self.children().into_iter().filter_map(current).collect()
    }

    /// Returns whether the step at `path` would run again even if it had not failed.
    #[must_use]
    pub fn follows_another(&self, path: &StepPath) -> bool {
        self.again.following.contains(&path.to_string())
    }

    /// Resumes the step at `target` where it stopped, instead of running it again as a new generation.
    pub fn continue_in_place(&mut self, target: &StepPath) {
        let text = target.to_string();
        self.again.leaves.remove(&text);
        self.again.reopened.insert(text);
    }

    /// Returns the path that the leaf at `target` has when it runs again in this run.
    #[must_use]
    pub fn rerun_path(&self, target: &StepPath) -> String {
        match self.again.leaves.get(&target.to_string()) {
            Some((_, generation)) => target.with_generation(*generation).to_string(),
            None => target.to_string(),
        }
    }

    /// Returns the record that makes this run resume from the chosen point.
    #[must_use]
    pub fn rewound(&self, at: Timestamp) -> Rewound {
        let Again { reopened, undecided, leaves, .. } = &self.again;
        Rewound {
            time_us: self.state.time_us(at),
            reopened: reopened.iter().cloned().collect(),
            undecided: undecided.iter().cloned().collect(),
            reentered: leaves.values().cloned().collect(),
            inputs: BTreeMap::new(),
            settled_messages: 0,
        }
    }
}

/// Returns whether the step at `path` is the run's `finally` or inside it.
fn is_in_finally(path: &StepPath) -> bool {
    path.segments().get(..2).is_some_and(|start| again::is_finally(&StepPath::new(start.to_vec())))
}

/// Returns whether `inner` is the step at `outer` or is inside it; an iteration is inside its loop.
fn encloses(outer: &StepPath, inner: &StepPath) -> bool {
    if outer.contains(inner) {
        return true;
    }
    let Some((last, before)) = outer.segments().split_last() else { return false };
    let Some(segment) = inner.segments().get(before.len()) else { return false };
    last.iteration.is_none()
        && segment.iteration.is_some()
        && (&segment.id, segment.generation) == (&last.id, last.generation)
        && inner.segments()[..before.len()] == *before
}
