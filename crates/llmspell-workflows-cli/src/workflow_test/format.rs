use std::collections::BTreeMap;

use llmspell_workflows_basic::StepError;
use serde_json::Value;

use super::Pattern;

/// What a test file says.
#[derive(Debug)]
pub(crate) struct File {
    /// The workflow, relative to the test file.
    pub(crate) workflow: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, String>,
    pub(crate) cases: Vec<Case>,
}

/// One run and what is expected of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Where it stands in the file, for messages: `cases/0`.
    pub(super) at: String,
    pub(super) input: Value,
    pub(super) environment: Option<String>,
    /// Those of the case, then those of the file.
    pub(super) mocks: Vec<Mocked>,
    pub(super) expect: Expect,
}

/// What answers instead of certain steps.
#[derive(Debug, Clone)]
pub(super) struct Mocked {
    /// As it is written, for messages.
    pub(super) key: String,
    /// Where it stands in the file.
    pub(super) at: String,
    pub(super) target: Target,
    pub(super) mock: Mock,
}

/// Which steps a mock answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Those that call this activity: `tool:web_searcher`, or `shell:` for all of a kind.
    Activity { kind: String, name: String },
    /// Those at this path, or whose path ends like this.
    Step(Pattern),
}

/// What a mock does.
#[derive(Debug, Clone)]
pub(super) enum Mock {
    /// The same at every call.
    Always(Answer),
    /// One answer a call, and none after the last.
    Each(Vec<Answer>),
    /// What the activity itself does.
    Real,
}

/// What one call gives.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Output { output: Value, state: Vec<(String, Value)> },
    Error(Box<StepError>),
}

/// What is expected of a run.
#[derive(Debug, Default)]
pub(super) struct Expect {
    pub(super) status: Option<String>,
    pub(super) output: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) steps: Vec<(Pattern, Value)>,
    pub(super) order: Vec<Pattern>,
    /// How often the steps of each mock were called, by its key.
    pub(super) calls: Vec<(String, u64)>,
}
