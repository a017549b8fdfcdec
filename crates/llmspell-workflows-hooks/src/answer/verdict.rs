use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{model::ActivityName, state::Change};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What all hooks at a point have said together, as data that is recorded and obeyed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// The input instead of the step's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Arc<Value>>,
    /// The output instead of the step's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Arc<Value>>,
    /// What is changed in the state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Change>,
    /// How things go on.
    #[serde(skip_serializing_if = "Course::is_continue")]
    pub course: Course,
    /// When that is, where it has to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
}

/// How things go on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Course {
    /// As they would.
    #[default]
    Continue,
    /// Later.
    Delay(Duration),
    /// The run is cancelled, for this reason.
    Cancel(String),
    /// Without this, for this reason.
    Skip(String),
    /// With this output, and without doing it.
    Replace(Arc<Value>),
    /// Once more.
    Retry {
        /// How long to wait first.
        delay: Duration,
        /// How often at most.
        attempts: u32,
    },
    /// To another activity.
    Redirect(ActivityName),
    /// Once for each of these inputs, at the same time.
    Fork(Vec<Value>),
    /// With what is cached under the key, else as they would, and what comes is cached.
    Cache {
        /// The key.
        key: String,
        /// How long it stays.
        ttl: Duration,
    },
    /// To branch number so much, or to none.
    Branch(Option<usize>),
    /// To this step of the route, or out of it.
    Step(Option<String>),
    /// Over these items.
    Items(Arc<Vec<Value>>),
    /// With another iteration, or without.
    GoOn(bool),
    /// With this value in the state.
    Value(Value),
    /// With these changes of the state and no others.
    Changes(Vec<Change>),
    /// Into the step all the same.
    Enter,
    /// Without another attempt.
    GiveUp,
}

impl Course {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_continue(&self) -> bool {
        *self == Self::Continue
    }
}

impl Verdict {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_continue(&self) -> bool {
        let Self { input, output, state, course, wake_at: _ } = self;
        input.is_none() && output.is_none() && state.is_empty() && course.is_continue()
    }

    /// Takes in what the next hook says.
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
