use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Outcome;
use crate::StepPath;

/// What is known of a run that goes on, beside what interceptors answer.
#[derive(Debug, Clone)]
pub struct Resume {
    pub(super) run_id: Uuid,
    pub(super) started_at: Timestamp,
    /// The last generation of each step that was entered more than once, by its path as if entered for the first time.
    pub(super) generations: HashMap<String, u32>,
    /// The signals that steps have taken.
    pub(super) received: HashSet<u64>,
    pub(super) reentered: HashMap<String, u32>,
    pub(super) inputs: HashMap<String, Arc<Value>>,
    /// Steps that can be undone, with their inputs, in the order in which they ended.
    pub(super) undoable: Vec<(StepPath, Arc<Value>, Outcome)>,
    /// Those that have been undone, or given up.
    pub(super) undone: Vec<(StepPath, bool)>,
    /// What is in the state before any step, beside the input.
    pub(super) state: Map<String, Value>,
}

impl Resume {
    /// The run `run_id`, started for the first time at `started_at`.
    #[must_use]
    pub fn new(run_id: Uuid, started_at: Timestamp) -> Self {
        Self {
            run_id,
            started_at,
            generations: HashMap::new(),
            received: HashSet::new(),
            reentered: HashMap::new(),
            inputs: HashMap::new(),
            undoable: Vec::new(),
            undone: Vec::new(),
            state: Map::new(),
        }
    }

    /// Steps have taken the signals of these numbers, so no other step gets them.
    #[must_use]
    pub fn with_received(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.received.extend(numbers);
        self
    }

    /// A step that would be entered at one of these paths is entered as that generation instead.
    #[must_use]
    pub fn with_reentered(mut self, steps: impl IntoIterator<Item = (String, u32)>) -> Self {
        self.reentered.extend(steps);
        self
    }

    /// The activities at these paths get these inputs instead of their parameters.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = (String, Arc<Value>)>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// These steps can be undone: where they stand, what they were called with, and how they ended, in that order.
    #[must_use]
    pub fn with_undoable(mut self, steps: impl IntoIterator<Item = (StepPath, Arc<Value>, Outcome)>) -> Self {
        self.undoable.extend(steps);
        self
    }

    /// The steps at these paths have been undone, or somebody has said that they stay.
    #[must_use]
    pub fn with_undone(mut self, steps: impl IntoIterator<Item = (StepPath, bool)>) -> Self {
        self.undone.extend(steps);
        self
    }

    /// The state begins with these keys.
    #[must_use]
    pub fn with_state(mut self, state: Map<String, Value>) -> Self {
        self.state = state;
        self
    }

    /// Something is recorded at these paths, so no step is entered again under a generation that one of them names.
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
