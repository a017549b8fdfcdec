use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A migration of the state of a run from an earlier version of a definition to a later one.
///
/// A migration changes top-level keys. It applies `rename` first, then `set`, then `remove`, and finally `function`.
/// All values of `set` are computed from the state before the migration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Migration {
    /// The version of the migrated state; `None` for the version of the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// New names of keys, by their old names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// New values of keys: JSON whose strings may refer to `state`, the state before the migration, and to `input`.
    ///
    /// A key is not set if its value refers to a missing part of the state, since the run may not have set that part
    /// yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Keys to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// The name of a host function that completes the migration. It must be registered with
    /// [`Functions::register_migration`](crate::Functions::register_migration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}
