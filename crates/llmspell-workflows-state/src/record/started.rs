use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::FORMAT;

/// The data that a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The format version of all records of the run.
    pub format: u32,
    /// When the run was first started.
    pub at: Timestamp,
    /// The name of the definition.
    pub workflow: String,
    /// The version of the definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The hash of the definition.
    pub definition: String,
    /// The input.
    pub input: Value,
    /// The step that the run begins with; `None` for the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_step: Option<String>,
    /// The definition's environment, which overrides variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The run and step that started this run as a sub-workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run from which this run was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Activity inputs that replace the evaluated parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
    /// The environment variables from which the run's variables were computed; the value is
    /// `None` if a variable was not set. Values that contain secrets are not recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// The state before the first step, without the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// Labels that the run was started with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Permissions that the run was started with in addition to the configuration, by the name of the option that gave
    /// them. The engine ignores them; a program that continues the run applies them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Vec<String>>,
    /// The time limit of the run in microseconds, in addition to the definition's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_us: Option<u64>,
}

impl Default for Started {
    fn default() -> Self {
        Self {
            format: FORMAT,
            at: Timestamp::UNIX_EPOCH,
            workflow: String::new(),
            version: String::new(),
            definition: String::new(),
            input: Value::Null,
            starting_step: None,
            environment: None,
            parent: None,
            origin: None,
            inputs: BTreeMap::new(),
            env: BTreeMap::new(),
            state: Map::new(),
            labels: BTreeMap::new(),
            grants: BTreeMap::new(),
            timeout_us: None,
        }
    }
}

impl Started {
    /// Returns the time limit set at the start of the run, in addition to its definition's limit.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_us.map(Duration::from_micros)
    }
}

/// The step of another run that started a run as its sub-workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The other run.
    pub run: Uuid,
    /// The path of the step.
    pub path: String,
}

/// The run from which another run was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The earlier run.
    pub run: Uuid,
    /// The step from which the run is repeated; `None` repeats the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
