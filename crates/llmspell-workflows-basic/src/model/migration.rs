use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the state of a run of an earlier version of a definition becomes one of a later version.
///
/// It is about top-level keys. First those under `rename` move, then those under `set` are computed, all from the state
/// as it was before, then those under `remove` go, and last the function speaks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Migration {
    /// The version that the state has then; `None`: that of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Keys that are called otherwise from then on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Keys and their values: JSON whose texts may refer to `state`, as it was, and to `input`.
    ///
    /// A value is left out where the state has not what it refers to: a run may not have come so far yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Keys that are no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What does the rest: a function of the host's, registered with
    /// [`Functions::register_migration`](crate::Functions::register_migration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}
