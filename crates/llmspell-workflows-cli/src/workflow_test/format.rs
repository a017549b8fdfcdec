use std::{collections::BTreeMap, time::Duration};

use llmspell_workflows_basic::StepError;
use serde_json::Value;

use super::Pattern;

/// The content of a test file.
#[derive(Debug)]
pub(crate) struct File {
    /// The path of the workflow, relative to the test file.
    pub(crate) workflow: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, String>,
    /// The mocks for all cases.
    pub(super) mocks: Vec<MockEntry>,
    pub(crate) cases: Vec<Case>,
}

/// A test case: one run and its expected result.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The location of the case in the file, for diagnostics: `cases/0`.
    pub(super) at: String,
    pub(super) input: Value,
    pub(super) environment: Option<String>,
    /// The mocks of the case, followed by the mocks of the file.
    pub(super) mocks: Vec<MockEntry>,
    pub(super) messages: Vec<Message>,
    /// The time at which the test's clock stops, relative to the start of the run.
    pub(super) stop_after: Option<Duration>,
    /// The time limit of the case, in real time.
    pub(super) timeout: Duration,
    pub(super) expect: Expect,
}

/// A mock and the steps it applies to.
#[derive(Debug, Clone)]
pub(super) struct MockEntry {
    /// The key as written, for diagnostics.
    pub(super) key: String,
    /// The location of the mock in the file.
    pub(super) at: String,
    pub(super) target: Target,
    pub(super) mock: Mock,
}

/// The steps that a mock applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The steps that call this activity: `tool:web_searcher`, or `shell:` for all activities of a
    /// kind. `workflow:NAME` stands for the steps that run this sub-workflow.
    Activity { kind: String, name: String },
    /// The steps whose path matches this pattern.
    Step(Pattern),
}

/// The behavior of a mock.
#[derive(Debug, Clone)]
pub(super) enum Mock {
    /// The same answer to every call.
    Always(Answer),
    /// One answer per call; further calls fail.
    Sequence(Vec<Answer>),
    /// Calls the real activity.
    Real,
}

/// The answer to one call.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Output { output: Value, state: Vec<(String, Value)> },
    Error(Box<StepError>),
}

/// A message to the run, sent once the run can only wait.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The location of the message in the file.
    pub(super) at: String,
    /// The earliest time at which the message is sent, relative to the start of the run.
    pub(super) after: Option<Duration>,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Signal {
        name: String,
        data: Value,
        /// Whether a step is expected to receive the signal.
        is_received: bool,
    },
    Cancel {
        compensates: bool,
    },
}

/// The expected result of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Expect {
    pub(super) status: Option<String>,
    pub(super) output: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) steps: Vec<(Pattern, Value)>,
    pub(super) order: Vec<Pattern>,
    /// How many calls of each mock are expected, by mock key.
    pub(super) calls: Vec<(String, u64)>,
}

impl Expect {
    /// Returns the expected status. By default, a run is expected to complete, or to fail if an error is expected.
    pub(super) fn status(&self) -> &str {
        self.status.as_deref().unwrap_or(if self.error.is_some() { "failed" } else { "completed" })
    }
}

impl Mock {
    /// Returns the number of calls that use up the mock's answers.
    pub(super) fn answers_needed(&self) -> u64 {
        match self {
            Self::Always(_) | Self::Real => 1,
            Self::Sequence(answers) => answers.len() as u64,
        }
    }

    /// Returns the mock's answers.
    pub(super) fn answers(&self) -> &[Answer] {
        match self {
            Self::Always(answer) => std::slice::from_ref(answer),
            Self::Sequence(answers) => answers,
            Self::Real => &[],
        }
    }
}

impl Message {
    /// Returns whether the message is the signal `event`.
    pub(super) fn is_signal(&self, event: &str) -> bool {
        matches!(&self.content, Content::Signal { name, .. } if name == event)
    }
}
