//! A definition as a tree of steps with what is set on each: what `plan` and `graph --format ascii` show.

mod build;
mod describe;
mod text;

use std::collections::BTreeMap;

use llmspell_workflows_basic::model::ActivityName;
use serde::Serialize;
use serde_json::Value;

pub(crate) use build::build;
pub(crate) use describe::{title, what};
pub(crate) use text::{Branches, holds, text};

/// A step, and the steps inside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// Its path without iterations and generations.
    pub(crate) path: String,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) kind: String,
    /// The activity that it calls.
    #[serde(skip)]
    pub(crate) call: Option<ActivityName>,
    /// Which of its kind, of a step that calls an activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) activity: Option<String>,
    /// The kind with its settings, in words.
    #[serde(skip)]
    pub(crate) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// What the condition comes to, where the input alone decides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition_holds: Option<bool>,
    /// The steps of its list that must end first; of a list in order the one before it.
    pub(crate) waits_for: Vec<String>,
    /// In a graph: steps of one level can run at the same time, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_timeout: Option<String>,
    /// `continue` or `steps`; none where a failure fails the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_error: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) limits: Vec<String>,
    /// In a route: where it goes next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) next: Vec<Way>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blocks: Vec<Block>,
}

/// A way on from a step of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Way {
    pub(crate) condition: Option<String>,
    /// None: the route ends.
    pub(crate) target: Option<String>,
}

/// A list of steps inside a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Block {
    /// `steps`, `branches`, `then`, `else`, `case[0]`, `default`, `$on_error`.
    pub(crate) name: String,
    pub(crate) order: Order,
    /// The condition on which it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when_holds: Option<bool>,
    pub(crate) steps: Vec<Entry>,
}

/// How the steps of a list follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// One after the other.
    Sequence,
    /// As their dependencies say.
    Graph,
    /// All at the same time.
    Parallel,
    /// As each names the next.
    Route,
}

/// What is known before a run beside the definition.
pub(crate) struct Known<'k> {
    /// What steps of graphs wait for, by path; a path that is missing waits for its declared dependencies.
    pub(crate) waits: BTreeMap<String, Vec<String>>,
    /// The value of a condition, where the input decides it.
    pub(crate) decide: &'k dyn Fn(&str) -> Option<bool>,
}
