use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Outcome;
use crate::StepPath;

/// The known facts about a run to resume, apart from the records that interceptors replay.
#[derive(Debug, Clone)]
pub struct Resume {
    pub(super) run_id: Uuid,
    pub(super) started_at: Timestamp,
    /// When the last record of the run was made.
    pub(super) last_record: Timestamp,
    /// How far the clock of the run was ahead of the engine's clock.
    pub(super) clock_ahead: SignedDuration,
    /// The last generation of each step that was entered more than once, by the path of its first generation.
    pub(super) generations: HashMap<String, u32>,
    /// The numbers of the signals that steps have consumed.
    pub(super) received: HashSet<u64>,
    pub(super) reentered: HashMap<String, u32>,
    pub(super) inputs: HashMap<String, Arc<Value>>,
    /// Steps that can be undone, in the order in which they ended.
    pub(super) undoable: Vec<UndoableStep>,
    /// Steps that have been undone (`true`) or were deliberately left as they are (`false`).
    pub(super) undone: Vec<(StepPath, bool)>,
    /// Steps that can be undone and had begun but not ended, with their inputs.
    pub(super) cut_off: Vec<(StepPath, Arc<Value>)>,
    /// How many attempts of a step the end of a process cut off, by the path of the step.
    pub(super) cuts: HashMap<String, u32>,
    /// Sub-workflow steps whose runs were started and have not ended.
    pub(super) open_children: Vec<StepPath>,
    /// Activities that had begun and not ended when the process of the run ended.
    pub(super) interrupted: Vec<StepPath>,
    /// The total size of the recorded outputs of activities, in bytes of JSON.
    pub(super) output_bytes: u64,
    /// Whether the run was requested to cancel, and whether its steps are to be undone then.
    pub(super) cancel: Option<bool>,
    /// The state before any step, without the input.
    pub(super) state: Map<String, Value>,
    /// The environment variables from which the variables of the run were computed; `None` if one was not set.
    pub(super) env: BTreeMap<String, Option<String>>,
}

/// A step that has ended and can be undone.
#[derive(Debug, Clone)]
pub enum UndoableStep {
    /// A step with a compensation step: its path, its input and its outcome.
    Step(StepPath, Arc<Value>, Outcome),
    /// A sub-workflow step that is undone by undoing its child run: its path, the child and the outcome.
    Child(StepPath, Uuid, Outcome),
}

impl Resume {
    /// Resumes the run `run_id`, which was first started at `started_at`.
    #[must_use]
    pub fn new(run_id: Uuid, started_at: Timestamp) -> Self {
        Self {
            run_id,
            started_at,
            last_record: started_at,
            clock_ahead: SignedDuration::ZERO,
            generations: HashMap::new(),
            received: HashSet::new(),
            reentered: HashMap::new(),
            inputs: HashMap::new(),
            undoable: Vec::new(),
            undone: Vec::new(),
            cut_off: Vec::new(),
            cuts: HashMap::new(),
            open_children: Vec::new(),
            interrupted: Vec::new(),
            output_bytes: 0,
            cancel: None,
            state: Map::new(),
            env: BTreeMap::new(),
        }
    }

    /// Sets when the last record of the run was made. The time of the run continues from there if the engine's clock is
    /// behind it.
    #[must_use]
    pub fn with_last_record(mut self, at: Timestamp) -> Self {
        self.last_record = at;
        self
    }

    /// Sets how far the clock of the run was ahead of the engine's clock when the last record was made, as
    /// [`Run::clock_ahead`](super::Run::clock_ahead) returns it. It matters only while the engine's clock is behind that
    /// record.
    #[must_use]
    pub fn with_clock_ahead(mut self, ahead: SignedDuration) -> Self {
        self.clock_ahead = ahead;
        self
    }

    /// Adds the numbers of signals that steps have consumed, so no other step receives these signals.
    #[must_use]
    pub fn with_received(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.received.extend(numbers);
        self
    }

    /// Overrides the generations under which steps are entered, by the path of the step.
    #[must_use]
    pub fn with_reentered(mut self, steps: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.reentered.extend(steps);
        self
    }

    /// Adds inputs that activities receive instead of their parameters, by the path of the step.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = (String, Arc<Value>)>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// Adds steps that can be undone, in the order in which they ended.
    #[must_use]
    pub fn with_undoable(mut self, steps: impl IntoIterator<Item = UndoableStep>) -> Self {
        self.undoable.extend(steps);
        self
    }

    /// Adds the paths of steps that have been undone (`true`) or were deliberately left as they are (`false`).
    #[must_use]
    pub fn with_undone(mut self, steps: impl IntoIterator<Item = (StepPath, bool)>) -> Self {
        self.undone.extend(steps);
        self
    }

    /// Adds steps that can be undone and that the end of a process cut off: their paths and inputs, in the order in which
    /// they began.
    #[must_use]
    pub fn with_cut_off(mut self, steps: impl IntoIterator<Item = (StepPath, Arc<Value>)>) -> Self {
        self.cut_off.extend(steps);
        self
    }

    /// Sets how many attempts of a step the end of a process cut off, by the path of the step.
    #[must_use]
    pub fn with_cuts(mut self, steps: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.cuts.extend(steps);
        self
    }

    /// Adds the paths of sub-workflow steps whose runs were started and have not ended. If this run is cancelled or times
    /// out, they are resumed nevertheless, so that they clean up.
    #[must_use]
    pub fn with_open_children(mut self, steps: impl IntoIterator<Item = StepPath>) -> Self {
        self.open_children.extend(steps);
        self
    }

    /// Adds the paths of activities that had begun and not ended when the process of the run ended. If this run is
    /// cancelled or times out, those that must not run twice are entered nevertheless: their effect is unknown, so the run
    /// is stuck.
    #[must_use]
    pub fn with_interrupted(mut self, steps: impl IntoIterator<Item = StepPath>) -> Self {
        self.interrupted.extend(steps);
        self
    }

    /// Sets the total size of the recorded outputs of activities, as [`output_bytes`](super::output_bytes) counts it.
    #[must_use]
    pub fn with_output_bytes(mut self, bytes: u64) -> Self {
        self.output_bytes = bytes;
        self
    }

    /// Sets whether someone has requested that the run be cancelled; `Some(true)` if its steps are to be undone then.
    #[must_use]
    pub fn with_cancel(mut self, compensates: Option<bool>) -> Self {
        self.cancel = compensates;
        self
    }

    /// Sets the state before any step.
    #[must_use]
    pub fn with_state(mut self, state: Map<String, Value>) -> Self {
        self.state = state;
        self
    }

    /// Sets the environment variables from which the variables of the run were computed, as
    /// [`Run::variable_env`](super::Run::variable_env) returned them when the run started.
    #[must_use]
    pub fn with_env(mut self, env: BTreeMap<String, Option<String>>) -> Self {
        self.env = env;
        self
    }

    /// Adds recorded paths, so that a step is not entered again under a generation that one of these paths contains.
    #[must_use]
    pub fn with_recorded<'p>(mut self, paths: impl IntoIterator<Item = &'p StepPath>) -> Self {
        for path in paths {
            for (position, segment) in path.segments().iter().enumerate().filter(|(_, segment)| segment.generation > 1)
            {
                let step = StepPath::new(path.segments()[..=position].to_vec()).with_generation(1);
                let last = self.generations.entry(step.to_string()).or_insert(1);
                *last = segment.generation.max(*last);
            }
        }
        self
    }
}
