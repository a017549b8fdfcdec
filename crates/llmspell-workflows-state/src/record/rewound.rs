use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::engine::DecisionKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{StoredChange, is_zero};

/// A reference to a choice of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceRef {
    /// The path of the step that makes the choice.
    pub path: String,
    /// The key of the choice.
    pub key: DecisionKey,
}

/// A run's steps and choices that are no longer valid. The steps run again, and the choices
/// are made again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewound {
    /// The time, in microseconds since the start of the run.
    #[serde(rename = "t")]
    pub time_us: u64,
    /// Steps whose recorded end is no longer valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reopened: Vec<String>,
    /// Choices that are made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<ChoiceRef>,
    /// Steps entered under a generation different from the one in their path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reentered: Vec<(String, u32)>,
    /// Activity inputs that replace the evaluated parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
    /// The number of the last message to the run, if the run had ended. Requests to cancel the run up to and including
    /// this message no longer count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled_messages: u64,
}

/// The definition under which a run continues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redefined {
    /// The time, in microseconds since the start of the run.
    #[serde(rename = "t")]
    pub time_us: u64,
    /// The hash of the definition.
    pub definition: String,
    /// The version of the definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The migrated state, if the definition says how to migrate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated: Option<Migrated>,
}

/// The state of a run, migrated to another version of its definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrated {
    /// The state before the first step, without the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// State changes that replace the recorded ones, by the path of the completed step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, Vec<StoredChange>>,
    /// Choices that are made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<ChoiceRef>,
}
