use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActivityName, step::is_default};

/// A wait for a signal; see [`super::StepKind::WaitForEvent`].
///
/// Each signal is consumed by one step: the first step that waits for the signal's name and whose filter accepts the
/// signal. The `timeout` of the step limits the wait.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WaitForEvent {
    /// The name of the signal; may contain references.
    pub event: String,
    /// An expression over `event` (`event.name`, `event.data`); signals for which it is false are left for other steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What happens if no signal arrives in time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_timeout: OnTimeout,
}

/// Another definition that a step runs; see [`super::StepKind::Workflow`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SubWorkflow {
    /// The name of the definition: one of the enclosing definition's `workflows`, or a definition registered in the
    /// engine.
    pub workflow: String,
    /// The required version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The input of the child run: JSON whose strings may contain references.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
}

/// What a [`WaitForEvent`] step does if no signal arrives in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The step fails.
    #[default]
    Fail,
    /// The step completes, with `timed_out: true` in its output.
    Continue,
}

/// A check of data; see [`super::StepKind::Validate`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Validate {
    /// The data to check, which is also the output: JSON whose strings may contain references.
    pub data: Value,
    /// A JSON Schema that the data must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// An activity that receives the data and returns a list of errors; the list is empty if the data is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<ActivityName>,
    /// Expressions that must be true; `data` refers to the checked data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<String>,
    /// Whether a violation fails the step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: ValidateMode,
    /// The output for valid data: JSON whose strings may contain references; `data` refers to the checked data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Value>,
}

/// Whether a violation fails a [`Validate`] step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidateMode {
    /// The step fails with all violations.
    #[default]
    Strict,
    /// The step completes, with a warning that contains all violations.
    Warn,
}
