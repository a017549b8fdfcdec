use serde::Serialize;
use serde_json::Value;

/// What a tool works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Files and folders.
    Filesystem,
    /// Pages and search engines.
    Web,
    /// HTTP interfaces.
    Api,
    /// Text and meaning.
    Analysis,
    /// Structured data.
    Data,
    /// Processes and the machine.
    System,
    /// Images, audio, video.
    Media,
    /// Small helpers.
    Utility,
}

/// How much harm a tool can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityLevel {
    /// Computes only.
    Safe,
    /// Reads or writes within what the policy allows.
    Restricted,
    /// Runs programs or changes the machine.
    Privileged,
}

/// What a tool needs to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Reads files.
    FilesRead,
    /// Writes files.
    FilesWrite,
    /// Opens connections.
    Network,
    /// Reads the environment.
    Environment,
    /// Starts programs.
    Processes,
}

/// What a tool is, for people, editors and validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    /// The canonical snake_case name.
    pub name: &'static str,
    /// Other names that mean the same tool; the kebab-case form of each name is always one.
    pub aliases: &'static [&'static str],
    /// One sentence: what it does.
    pub description: &'static str,
    /// What it works on.
    pub category: Category,
    /// How much harm it can do.
    pub security_level: SecurityLevel,
    /// What it needs to reach.
    pub permissions: &'static [Permission],
    /// JSON Schema (draft 7) of its parameters; objects are closed (`additionalProperties: false`).
    pub parameters: Value,
    /// JSON Schema (draft 7) of its result.
    pub result: Value,
}
