use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Outcome;
use crate::StepPath;

/// The facts known about a run to be resumed, apart from the records that interceptors replay.
#[derive(Debug, Clone)]
pub struct Resume {
    pub(super) run_id: Uuid,
    pub(super) started_at: Timestamp,
    /// When the run's last record was made.
    pub(super) last_record: Timestamp,
    /// How far the run's clock was ahead of the engine's clock.
    pub(super) clock_ahead: SignedDuration,
    /// The last generation of each step that was entered more than once, keyed by the path of the
    /// step's first generation.
    pub(super) generations: HashMap<String, u32>,
    /// The numbers of the signals consumed by steps.
    pub(super) received: HashSet<u64>,
    pub(super) reentered: HashMap<String, u32>,
    pub(super) inputs: HashMap<String, Arc<Value>>,
    /// Undoable steps, in the order they ended.
    pub(super) undoable: Vec<UndoableStep>,
    /// Steps that have been undone (`true`) or were deliberately left as is (`false`).
    pub(super) undone: Vec<(StepPath, bool)>,
    /// Undoable steps that had begun but not ended, with their inputs.
    pub(super) cut_off: Vec<(StepPath, Arc<Value>)>,
    /// The number of each step's attempts that were interrupted because a process ended, by step
    /// path.
    pub(super) cuts: HashMap<String, u32>,
    /// Sub-workflow steps whose runs have started but not ended.
    pub(super) open_children: Vec<StepPath>,
    /// Activities that had begun but not ended when the run's process ended.
    pub(super) interrupted: Vec<StepPath>,
    /// The total size of the recorded outputs of activities, in bytes of JSON.
    pub(super) output_bytes: u64,
    /// Whether cancellation of the run was requested; `Some(true)` if its steps must also be
    /// undone.
    pub(super) cancel: Option<bool>,
    /// The state before any step has run, without the input.
    pub(super) state: Map<String, Value>,
    /// The environment variables from which the run's variables were computed; a variable that was
    /// not set is `None`.
    pub(super) env: BTreeMap<String, Option<String>>,
}

/// A step that has ended and can be undone.
#[derive(Debug, Clone)]
pub enum UndoableStep {
    /// A step with a compensation step: its path, its input and its outcome.
    Step(StepPath, Arc<Value>, Outcome),
    /// A sub-workflow step undone by undoing its child run: its path, the child and the outcome.
    Child(StepPath, Uuid, Outcome),
}

impl Resume {
    /// Resumes the run `run_id`, first started at `started_at`.
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

    /// Sets when the run's last record was made. The run's time continues from there if the
    /// engine's clock is behind that record.
    #[must_use]
    pub fn with_last_record(mut self, at: Timestamp) -> Self {
        self.last_record = at;
        self
    }

    /// Sets how far the run's clock was ahead of the engine's clock when the last record was made,
    /// as returned by [`Run::clock_ahead`](super::Run::clock_ahead). This matters only while the
    /// engine's clock is behind that record.
    #[must_use]
    pub fn with_clock_ahead(mut self, ahead: SignedDuration) -> Self {
        self.clock_ahead = ahead;
        self
    }

    /// Adds the numbers of signals consumed by steps, so no other step receives these signals.
    #[must_use]
    pub fn with_received(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.received.extend(numbers);
        self
    }

    /// Overrides the generations under which steps are entered, by step path.
    #[must_use]
    pub fn with_reentered(mut self, steps: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.reentered.extend(steps);
        self
    }

    /// Adds inputs that replace activities' parameters, by step path.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = (String, Arc<Value>)>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// Adds undoable steps, in the order they ended.
    #[must_use]
    pub fn with_undoable(mut self, steps: impl IntoIterator<Item = UndoableStep>) -> Self {
        self.undoable.extend(steps);
        self
    }

    /// Adds the paths of steps that have been undone (`true`) or were
    /// deliberately left as is (`false`).
    #[must_use]
    pub fn with_undone(mut self, steps: impl IntoIterator<Item = (StepPath, bool)>) -> Self {
        self.undone.extend(steps);
        self
    }

    /// Adds undoable steps that were interrupted because a process ended: their paths and inputs,
    /// in the order they began.
    #[must_use]
    pub fn with_cut_off(mut self, steps: impl IntoIterator<Item = (StepPath, Arc<Value>)>) -> Self {
        self.cut_off.extend(steps);
        self
    }

    /// Sets the number of each step's attempts that were interrupted because a process ended, by
    /// step path.
    #[must_use]
    pub fn with_cuts(mut self, steps: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.cuts.extend(steps);
        self
    }

    /// Adds the paths of sub-workflow steps whose runs have started but not ended. If this run is
    /// cancelled or times out, these steps are still resumed, so that they clean up.
    #[must_use]
    pub fn with_open_children(mut self, steps: impl IntoIterator<Item = StepPath>) -> Self {
        self.open_children.extend(steps);
        self
    }

    /// Adds the paths of activities that had begun but not ended when the run's process ended. If
    /// this run is cancelled or times out, activities that must not run twice are still entered.
    /// Their effect is unknown, so the run becomes stuck.
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

    /// Sets whether cancellation was requested; `Some(true)` if the steps must also be undone.
    #[must_use]
    pub fn with_cancel(mut self, compensates: Option<bool>) -> Self {
        self.cancel = compensates;
        self
    }

    /// Sets the state before any step has run.
    #[must_use]
    pub fn with_state(mut self, state: Map<String, Value>) -> Self {
        self.state = state;
        self
    }

    /// Sets the environment variables from which the run's variables were computed, as
    /// [`Run::variable_env`](super::Run::variable_env) returned them when the run started.
    #[must_use]
    pub fn with_env(mut self, env: BTreeMap<String, Option<String>>) -> Self {
        self.env = env;
        self
    }

    /// Adds recorded paths, so that no step is entered again under a generation that these paths
    /// already use.
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
