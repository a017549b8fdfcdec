use serde::Serialize;
use serde_json::Value;

/// The area in which a tool works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Files and directories.
    Filesystem,
    /// Web pages and search engines.
    Web,
    /// HTTP APIs.
    Api,
    /// Text analysis.
    Analysis,
    /// Structured data.
    Data,
    /// Processes and the operating system.
    System,
    /// Images, audio, video.
    Media,
    /// Small helpers.
    Utility,
}

/// How much damage a tool can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityLevel {
    /// Performs computations only.
    Safe,
    /// Reads or writes only what the policy allows.
    Restricted,
    /// Runs programs or changes the system.
    Privileged,
}

/// A permission required by a tool.
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

/// The description of a tool, for people, editors and validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    /// The canonical snake_case name.
    pub name: &'static str,
    /// Other names for the tool; the kebab-case form of each name always works too.
    pub aliases: &'static [&'static str],
    /// A description of the tool in one sentence.
    pub description: &'static str,
    /// The area in which the tool works.
    pub category: Category,
    /// How much damage the tool can do.
    pub security_level: SecurityLevel,
    /// The permissions the tool needs.
    pub permissions: &'static [Permission],
    /// The JSON Schema (draft 7) of the parameters; objects are closed (`additionalProperties: false`).
    pub parameters: Value,
    /// The JSON Schema (draft 7) of the result.
    pub result: Value,
}
