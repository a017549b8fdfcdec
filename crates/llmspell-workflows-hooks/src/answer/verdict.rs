use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{model::ActivityName, state::Change};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The combined answer of all hooks at a point, as data that is recorded and then applied.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// The new input of the step, if a hook replaced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Arc<Value>>,
    /// The new output of the step, if a hook replaced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Arc<Value>>,
    /// The changes to the state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Change>,
    /// How the run proceeds.
    #[serde(skip_serializing_if = "Course::is_continue")]
    pub course: Course,
    /// When the run proceeds, if it has to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
}

/// How a run proceeds after hooks have answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Course {
    /// Proceeds unchanged.
    #[default]
    Continue,
    /// Proceeds after this delay.
    Delay(Duration),
    /// Cancels the run for this reason.
    Cancel(String),
    /// Skips the step for this reason.
    Skip(String),
    /// Completes the step with this output.
    Replace(Arc<Value>),
    /// Runs the step again.
    Retry {
        /// The delay before the step runs again.
        delay: Duration,
        /// The maximum number of times that the step runs again.
        attempts: u32,
    },
    /// Calls a different activity.
    Redirect(ActivityName),
    /// Runs the step concurrently, once for each of these inputs.
    Fork(Vec<Value>),
    /// Uses the output cached under the key, or runs the step and caches its output if there is
    /// none.
    Cache {
        /// The key.
        key: String,
        /// How long the output stays cached.
        ttl: Duration,
    },
    /// Takes the branch with this index, or none.
    Branch(Option<usize>),
    /// Moves to this step of the route, or ends the route.
    Step(Option<String>),
    /// Loops over these items.
    Items(Arc<Vec<Value>>),
    /// Runs another iteration, or ends the loop.
    #[serde(rename = "go_on")]
    Iterate(bool),
    /// Sets this value in the state.
    Value(Value),
    /// Makes exactly these changes to the state.
    Changes(Vec<Change>),
    /// Runs the step instead of skipping it.
    Enter,
    /// Fails the step without another attempt.
    GiveUp,
}

impl Course {
    /// Returns whether the run proceeds unchanged.
    #[must_use]
    pub fn is_continue(&self) -> bool {
        matches!(self, Self::Continue)
    }
}

impl Verdict {
    /// Returns whether the verdict changes nothing.
    #[must_use]
    pub fn is_continue(&self) -> bool {
        let Self { input, output, state, course, wake_at: _ } = self;
        input.is_none() && output.is_none() && state.is_empty() && course.is_continue()
    }

    /// Merges the verdict of the next hook into this one.
    pub(crate) fn absorb(&mut self, next: Self) {
        self.input = next.input.or(self.input.take());
        self.output = next.output.or(self.output.take());
        self.state.extend(next.state);
        self.course = next.course;
    }

    pub(super) fn course(course: Course) -> Self {
        Self { course, ..Self::default() }
    }

    pub(super) fn input(input: Value) -> Self {
        Self { input: Some(Arc::new(input)), ..Self::default() }
    }

    pub(super) fn output(output: Value) -> Self {
        Self { output: Some(Arc::new(output)), ..Self::default() }
    }

    pub(super) fn state(state: Vec<Change>) -> Self {
        Self { state, ..Self::default() }
    }
}
