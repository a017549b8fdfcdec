use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::KeptChange;

/// The state of a run as another version of its definition has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Migrated {
    /// What is in the state before any step, beside the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// By the paths of steps that have ended: what each changes in the state, in place of what is recorded there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, Vec<KeptChange>>,
    /// Choices that are made again: where, of which kind, and which of that kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<(String, String, u64)>,
}
