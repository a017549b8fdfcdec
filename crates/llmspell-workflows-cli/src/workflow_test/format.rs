use std::collections::BTreeMap;

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
    pub(crate) cases: Vec<Case>,
}

/// A test case: one run and its expected result.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The location of the case in the file, for diagnostics: `cases/0`.
    pub(super) at: String,
    pub(super) input: Value,
    pub(super) environment: Option<String>,
    /// The mocks of the case, then those of the file.
    pub(super) mocks: Vec<MockEntry>,
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
    /// The steps that call this activity: `tool:web_searcher`, or `shell:` for all activities of a kind.
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
    /// Calls the activity itself.
    Real,
}

/// The answer to one call.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Output { output: Value, state: Vec<(String, Value)> },
    Error(Box<StepError>),
}

/// The expected result of a run.
#[derive(Debug, Default)]
pub(super) struct Expect {
    pub(super) status: Option<String>,
    pub(super) output: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) steps: Vec<(Pattern, Value)>,
    pub(super) order: Vec<Pattern>,
    /// The expected number of calls of each mock, by its key.
    pub(super) calls: Vec<(String, u64)>,
}
