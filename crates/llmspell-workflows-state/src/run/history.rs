use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Awaited, DecisionKey, Outcome, SkipReason, StepStatus, Warning},
};
use uuid::Uuid;

use super::{RunState, StepState, state::Subject};
use crate::record::{Record, Started};

/// The history of a run, read from its records. The run need not have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The data that the run was started with.
    pub started: Started,
    /// The steps that have begun, in the order in which they began.
    pub steps: Vec<PastStep>,
    /// The runs of its sub-workflows, in the order in which they were started.
    pub children: Vec<Uuid>,
    /// The warnings about the run, in order.
    pub warnings: Vec<PastWarning>,
    /// The run's outcome and when it ended; `None` if it has not ended.
    pub end: Option<(Outcome, Timestamp)>,
}

/// A warning about a run, read from its records.
#[derive(Debug, Clone, PartialEq)]
pub struct PastWarning {
    /// The warning.
    pub warning: Warning,
    /// When the warning occurred.
    pub at: Timestamp,
}

/// A step of a run, read from its records.
#[derive(Debug, Clone, PartialEq)]
pub struct PastStep {
    /// The step's path.
    pub path: String,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The time from the start of the run to the beginning of the step; a block begins with the
    /// first record inside it.
    pub began: Option<Duration>,
    /// The time from the start of the run until the step ended.
    pub ended: Option<Duration>,
    /// The step's outcome; `None` if the step was executing when the journal was read or when its
    /// process died.
    pub outcome: Option<Outcome>,
    /// The signal or time that the step waits for.
    pub waits: Option<Awaited>,
    /// Why the step is stuck.
    pub stuck: Option<StepError>,
    /// The run of the step's sub-workflow.
    pub child: Option<Uuid>,
    /// The step's status. A failed step is completed if its `on_error` steps completed; its outcome is then theirs.
    pub status: StepStatus,
    /// The error that the step's `on_error` steps handled.
    pub recovered: Option<StepError>,
}

impl PastStep {
    /// Returns the step at `path`; `step` is its state, if the step itself has records.
    fn new(path: &str, began: Duration, state: &RunState, step: Option<&StepState>) -> Result<Self, String> {
        let ended = step.and_then(|step| step.end.as_ref());
        let skipped = step.and_then(StepState::skipped);
        let outcome = match (ended, skipped) {
            (Some(ended), _) => Some(state.outcome(path, &ended.end).map_err(|error| format!("{path}: {error}"))?),
            (None, Some(reason)) => Some(Outcome::Skipped(reason.clone())),
            (None, None) => None,
        };
        Ok(Self {
            path: path.to_owned(),
            attempts: step.map_or(1, StepState::attempts),
            began: Some(began),
            ended: ended.map(|ended| Duration::from_micros(ended.time_us)),
            outcome,
            waits: step.and_then(StepState::waits),
            stuck: step.and_then(StepState::stuck).cloned(),
            child: step.and_then(StepState::child),
            status: step.map_or(StepStatus::Running, StepState::status),
            recovered: None,
        })
    }

    /// Returns the step's status.
    #[must_use]
    pub fn status(&self) -> StepStatus {
        self.status
    }

    /// Returns why the step was skipped; `None` if it was not skipped.
    #[must_use]
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        match &self.outcome {
            Some(Outcome::Skipped(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl History {
    /// Reads the records of a run; returns `None` if the run was never started.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent; the string says why.
    pub fn read(records: &[Record]) -> Result<Option<Self>, String> {
        Ok(Self::with_state(records)?.map(|(history, _)| history))
    }

    /// Reads the records like [`Self::read`], and also returns the run's state.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent; the string says why.
    pub fn with_state(records: &[Record]) -> Result<Option<(Self, RunState)>, String> {
        let (mut state, mut order) = (RunState::default(), Order::default());
        let mut warned = Vec::new();
        for record in records {
            if let Record::Warned { path, code, message, time_us } = record {
                let (path, code, message) = (path.clone(), code.clone(), message.clone());
                warned.push((Warning { code, path, message }, Duration::from_micros(*time_us)));
            }
            match state.apply_next(record).map_err(|error| error.to_string())? {
                Subject::Step(path, time_us) => order.note(path, Duration::from_micros(time_us)),
                Subject::Run | Subject::Rewound(_) => {}
            }
        }
        let Some(started) = state.started().cloned() else { return Ok(None) };
        let end = match state.closed() {
            Some(closed) => {
                let at = started.at.checked_add(Duration::from_micros(closed.time_us)).unwrap_or(Timestamp::MAX);
                Some((state.outcome("", &closed.end)?, at))
            }
            None => None,
        };
        let steps = order.steps.iter().filter(|(path, _)| !is_case_list(path, &state));
        let steps = steps.map(|(path, began)| PastStep::new(path, *began, &state, state.step(path)));
        let mut steps = steps.collect::<Result<Vec<_>, _>>()?;
        settle(&mut steps, end.is_some());
        mark_recovered(&mut steps);
        mark_compensated(&mut steps);
        let children = state.children();
        let at = |after: Duration| started.at.checked_add(after).unwrap_or(Timestamp::MAX);
        let warnings = warned.into_iter().map(|(warning, after)| PastWarning { warning, at: at(after) }).collect();
        Ok(Some((Self { started, steps, children, warnings, end }, state)))
    }
}

/// Returns whether `path` is that of the cases of a switch, without their number. It looks like a loop with iterations
/// but is not a step.
fn is_case_list(path: &str, state: &RunState) -> bool {
    let switch = path.strip_suffix("/case").and_then(|switch| state.step(switch));
    state.step(path).is_none() && switch.is_some_and(|switch| switch.decision(&DecisionKey::Branch).is_some())
}

/// Sets the status of steps that have begun and whose end is recorded elsewhere: attempts of a block end with the block,
/// and the end of a run ends its steps.
fn settle(steps: &mut [PastStep], has_ended: bool) {
    let ended = |step: &PastStep| Some((step.path.clone(), (step.status, step.ended?)));
    let ended: HashMap<String, (StepStatus, Duration)> = steps.iter().filter_map(ended).collect();
    let attempts: Vec<(String, u32)> = steps.iter().filter_map(|step| attempt_of(&step.path)).collect();
    for step in steps.iter_mut().filter(|step| step.outcome.is_none() && step.stuck.is_none()) {
        let block = attempt_of(&step.path).and_then(|(block, attempt)| Some((*ended.get(&block)?, block, attempt)));
        match block {
            Some(((status, at), block, attempt)) => {
                let is_last = attempts.iter().all(|(other, later)| *other != block || *later <= attempt);
                step.status = if is_last { status } else { StepStatus::Failed };
                step.ended = Some(at).filter(|_| is_last);
            }
            None if has_ended => {
                step.status = StepStatus::Cancelled;
                step.waits = None;
            }
            None => {}
        }
    }
}

/// Returns the path of the first attempt of a step and the number of the attempt; `None` for the first attempt.
fn attempt_of(path: &str) -> Option<(String, u32)> {
    let (block, attempt) = path.rsplit_once('~')?;
    Some((block.to_owned(), attempt.parse().ok()?))
}

/// Sets the outcome of failed steps that `on_error` steps have recovered, as the steps after them see it.
fn mark_recovered(steps: &mut [PastStep]) {
    let handled = |step: &PastStep| {
        let (path, generation) = step.path.rsplit_once("/$on_error")?;
        // A failed root fails the run, whatever its `on_error` steps do.
        let is_own = (generation.is_empty() || generation.starts_with('~')) && path.rfind('/') != Some(0);
        let outcome = step.outcome.clone().filter(|_| step.status == StepStatus::Completed && is_own)?;
        Some((path.to_owned(), (outcome, step.ended)))
    };
    let handled: HashMap<String, (Outcome, Option<Duration>)> = steps.iter().filter_map(handled).collect();
    for step in steps.iter_mut().filter(|step| step.status == StepStatus::Failed) {
        if let Some((outcome, ended)) = handled.get(&step.path) {
            step.recovered = step.outcome.as_ref().and_then(Outcome::error).cloned();
            (step.status, step.outcome, step.ended) = (StepStatus::Completed, Some(outcome.clone()), *ended);
        }
    }
}

/// Marks completed steps that were undone as compensated.
fn mark_compensated(steps: &mut [PastStep]) {
    let undo = |step: &PastStep| {
        let (undone, generation) = step.path.rsplit_once("/$undo")?;
        let is_own = generation.is_empty() || generation.starts_with('~');
        (step.status == StepStatus::Completed && is_own).then(|| undone.to_owned())
    };
    let undone: HashSet<String> = steps.iter().filter_map(undo).collect();
    let completed = steps.iter_mut().filter(|step| step.status == StepStatus::Completed);
    completed.filter(|step| undone.contains(&step.path)).for_each(|step| step.status = StepStatus::Compensated);
}

/// The steps in the order in which they began; a block comes before its steps.
#[derive(Default)]
struct Order {
    steps: Vec<(String, Duration)>,
    numbers: HashMap<String, usize>,
}

impl Order {
    /// Notes a record of the step at `path`. The step and its enclosing steps must have begun by
    /// then.
    fn note(&mut self, path: &str, at: Duration) {
        // If the step is known, so are its enclosing steps.
        if self.numbers.contains_key(path) {
            return;
        }
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            // An iteration is listed after its loop.
            for step in loop_of_iteration(&path[..end]).into_iter().chain([path[..end].to_owned()]) {
                if !self.numbers.contains_key(&step) {
                    self.numbers.insert(step.clone(), self.steps.len());
                    self.steps.push((step, at));
                }
            }
        }
    }
}

/// Returns the path of the loop whose iteration is at `path`: the same path without the iteration number.
fn loop_of_iteration(path: &str) -> Option<String> {
    let last = path.rfind('/')?;
    let open = last + path[last..].find('[')?;
    let close = open + path[open..].find(']')?;
    Some(format!("{}{}", &path[..open], &path[close + 1..]))
}
