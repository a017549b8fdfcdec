use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Awaited, Outcome, SkipReason, StepStatus},
};
use uuid::Uuid;

use super::{RunState, StepState, state::About};
use crate::record::{Record, Started};

/// What a journal tells of a run, whether it has ended or not.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// What it was started with.
    pub started: Started,
    /// The steps that began, in that order.
    pub steps: Vec<PastStep>,
    /// How it ended, and when; `None`: it has not.
    pub end: Option<(Outcome, Timestamp)>,
}

/// A step of a run as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastStep {
    /// Where it stands.
    pub path: String,
    /// How many attempts it took so far.
    pub attempts: u32,
    /// How long after the start of the run it began: a block does when something in it is first recorded.
    pub began: Option<Duration>,
    /// How long after the start of the run it ended.
    pub ended: Option<Duration>,
    /// How it ended; `None`: it was at work when the journal was read, or when its process died.
    pub outcome: Option<Outcome>,
    /// What it waits for, if it does.
    pub waits: Option<Awaited>,
    /// Why somebody has to say what it did, if so.
    pub stuck: Option<StepError>,
    /// The run that it is, if it is one.
    pub child: Option<Uuid>,
    /// How far it has come.
    pub status: StepStatus,
}

impl PastStep {
    /// The step at `path`, of which `step` is recorded, if anything of itself is.
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
        })
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> StepStatus {
        self.status
    }

    /// Why it did not run, if it did not.
    #[must_use]
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        match &self.outcome {
            Some(Outcome::Skipped(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl History {
    /// Reads the records of a run; `None`: it was never started.
    ///
    /// # Errors
    /// What is recorded makes no sense; the text says why.
    pub fn read(records: &[Record]) -> Result<Option<Self>, String> {
        Ok(Self::with_state(records)?.map(|(history, _)| history))
    }

    /// The same, and what else the records come to.
    ///
    /// # Errors
    /// What is recorded makes no sense; the text says why.
    pub fn with_state(records: &[Record]) -> Result<Option<(Self, RunState)>, String> {
        let (mut state, mut order) = (RunState::default(), Order::default());
        for record in records {
            match state.follow(record).map_err(|error| error.to_string())? {
                About::Step(path, time_us) => order.note(path, Duration::from_micros(time_us)),
                About::Run | About::Rewound(_) => {}
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
        let steps = order.steps.iter().map(|(path, began)| PastStep::new(path, *began, &state, state.step(path)));
        let steps = steps.collect::<Result<_, _>>()?;
        Ok(Some((Self { started, steps, end }, state)))
    }
}

/// The steps in the order in which they began, blocks before what is in them.
#[derive(Default)]
struct Order {
    steps: Vec<(String, Duration)>,
    numbers: HashMap<String, usize>,
}

impl Order {
    /// Something was recorded of the step at `path`, so it has begun by then, and so has everything around it.
    fn note(&mut self, path: &str, at: Duration) {
        // What is around a known step is known.
        if self.numbers.contains_key(path) {
            return;
        }
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            // An iteration stands where its loop does.
            for step in around_iteration(&path[..end]).into_iter().chain([path[..end].to_owned()]) {
                if !self.numbers.contains_key(&step) {
                    self.numbers.insert(step.clone(), self.steps.len());
                    self.steps.push((step, at));
                }
            }
        }
    }
}

/// The loop of the iteration at `path`, if that is one: the same path without the number.
fn around_iteration(path: &str) -> Option<String> {
    let last = path.rfind('/')?;
    let (open, close) = (last + path[last..].find('[')?, last + path[last..].find(']')?);
    Some(format!("{}{}", &path[..open], &path[close + 1..]))
}
