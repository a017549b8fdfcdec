use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A migration of the state of a run from an earlier version of a definition to a later one.
///
/// It changes top-level keys: `rename` first, then `set`, whose values are all computed from the state before the
/// migration, then `remove`, and finally `function`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Migration {
    /// The version of the migrated state; `None`: the version of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// New names of keys, by their old names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Keys and their values: JSON whose texts may refer to `state`, as it was before, and to `input`.
    ///
    /// A value is omitted if it refers to a missing part of the state, which the run may not have set yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Keys to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// A function of the host that does the rest, registered with
    /// [`Functions::register_migration`](crate::Functions::register_migration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}
