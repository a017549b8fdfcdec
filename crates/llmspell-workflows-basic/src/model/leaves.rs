use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActivityName, step::is_default};

/// A wait for a signal; see [`super::StepKind::WaitForEvent`].
///
/// Each signal is for one step: the first that waits for its name and whose filter it passes. The step's own `timeout`
/// says how long it waits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WaitForEvent {
    /// The name of the signal; may hold references.
    pub event: String,
    /// An expression over `event` (`event.name`, `event.data`); signals for which it is false are left for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What it comes to when nothing arrives in time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_timeout: OnTimeout,
}

/// Another definition that a step runs; see [`super::StepKind::Workflow`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SubWorkflow {
    /// Its name: one of the definition's own `workflows`, or one that the engine knows.
    pub workflow: String,
    /// The version that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its input: JSON whose texts may hold references.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
}

/// What becomes of a [`WaitForEvent`] step when nothing arrives in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It fails.
    #[default]
    Fail,
    /// It completes, and its output says so.
    Continue,
}

/// A check of data; see [`super::StepKind::Validate`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Validate {
    /// What is checked: JSON whose texts may hold references. It is also the output.
    pub data: Value,
    /// A JSON Schema it must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// An activity that gets the data and answers with a list of errors, empty if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<ActivityName>,
    /// Expressions that must hold, with the data as `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<String>,
    /// Whether a violation fails the step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: ValidateMode,
    /// What to make of the data once it is valid, with the data as `data`: JSON whose texts may hold references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Value>,
}

/// Whether a violation fails a [`Validate`] step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidateMode {
    /// It fails, with all violations.
    #[default]
    Strict,
    /// It succeeds, with a warning that holds all violations.
    Warn,
}
