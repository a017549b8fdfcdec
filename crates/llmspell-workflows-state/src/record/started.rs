use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::FORMAT;

/// What a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The version of the format of all records of the run.
    pub format: u32,
    /// When, for the first time.
    pub at: Timestamp,
    /// The name of its definition.
    pub workflow: String,
    /// The version of its definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The hash of its definition.
    pub definition: String,
    /// Its input.
    pub input: Value,
    /// The step it begins with, if not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_step: Option<String>,
    /// Which of the definition's environments overrides variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The run that it is a step of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The inputs of activities that get another one than their parameters make.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
    /// What is in its state before any step, beside the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// What its users call it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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
            state: Map::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// The step of another run that a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The other run.
    pub run: Uuid,
    /// The path of the step in it.
    pub path: String,
}

/// The run that another one was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The earlier run.
    pub run: Uuid,
    /// The step from which on it runs again; none: all of it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
