use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::engine::DecisionKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::KeptChange;

/// A choice of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceAt {
    /// The step that makes it.
    pub path: String,
    /// Which of its choices.
    pub key: DecisionKey,
}

/// What of a run counts no more, so that it happens again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewound {
    /// When, in microseconds since the run was started.
    #[serde(rename = "t")]
    pub time_us: u64,
    /// Steps that have not ended after all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reopened: Vec<String>,
    /// Choices that are made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<ChoiceAt>,
    /// Steps that are entered as another generation than the path says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reentered: Vec<(String, u32)>,
    /// The inputs of activities that get another one than their parameters make.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
}

/// The definition that a run has from some point on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redefined {
    /// When, in microseconds since the run was started.
    #[serde(rename = "t")]
    pub time_us: u64,
    /// The hash of the other definition.
    pub definition: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The state of the run from here on, where the definition says how to migrate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated: Option<Migrated>,
}

/// The state of a run as another version of its definition has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrated {
    /// What is in the state before any step, beside the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// By the paths of steps that have ended: what each changes in the state, in place of what is recorded there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, Vec<KeptChange>>,
    /// Choices that are made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<ChoiceAt>,
}
