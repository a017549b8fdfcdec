//! Outlines show a definition as a tree of steps with their settings; `plan` and
//! `graph --format ascii` print them.

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
    /// The path of the step, without iterations and generations.
    pub(crate) path: String,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) kind: String,
    /// The activity that the step calls.
    #[serde(skip)]
    pub(crate) call: Option<ActivityName>,
    /// The name of the activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) activity: Option<String>,
    /// A description of the step's kind and settings.
    #[serde(skip)]
    pub(crate) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// The value of the condition, if it depends only on the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition_holds: Option<bool>,
    /// The steps of the same list that must end before this step starts; in a sequence, the
    /// previous step.
    pub(crate) waits_for: Vec<String>,
    /// When a step of a graph runs, apart from its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runs: Option<String>,
    /// The level in a graph, counted from 1; steps on the same level can run at the same time.
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
    /// Whether the step is never executed again if its outcome is unknown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) at_most_once: bool,
    /// `continue` or `steps`; `None` if a failure of the step fails the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_error: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) limits: Vec<String>,
    /// The possible next steps in a route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) next: Vec<Way>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blocks: Vec<Block>,
}

/// A transition from a step of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Way {
    pub(crate) condition: Option<String>,
    /// The next step; `None` if the route ends.
    pub(crate) target: Option<String>,
}

/// A list of steps inside a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Block {
    /// The name of the list: `steps`, `branches`, `then`, `else`, `case[0]`, `default`, `$on_error`,
    /// `$undo`.
    pub(crate) name: String,
    pub(crate) order: Order,
    /// The condition under which the list runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when_holds: Option<bool>,
    pub(crate) steps: Vec<Entry>,
}

/// The order of the steps in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// One after the other.
    Sequence,
    /// By their dependencies.
    Graph,
    /// All at the same time.
    Parallel,
    /// Each step names the next step.
    Route,
}

/// Facts known before a run, in addition to the definition.
pub(crate) struct Known<'k> {
    /// The steps that each step of a graph waits for, by path; a step without an entry waits for its dependencies.
    pub(crate) waits: BTreeMap<String, Vec<String>>,
    /// Returns the value of a condition, if it depends only on the input.
    pub(crate) decide: &'k dyn Fn(&str) -> Option<bool>,
}
