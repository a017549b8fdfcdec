use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Delay, Migration, Step, StepKind, Steps, step::shared};

/// A workflow as data, named, versioned, hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its version, by convention `MAJOR.MINOR.PATCH`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Tools without which it cannot run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_tools: Vec<String>,
    /// The fields of its input; empty: any input is taken.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, InputSpec>,
    /// Values computed at the start, in order: JSON whose texts may refer to the input and to variables above them.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, Value>,
    /// Variables that differ by environment, chosen when a run starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, IndexMap<String, Value>>,
    /// Expressions with a name: `conditions.NAME`, or the bare name where a condition is expected.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conditions: IndexMap<String, String>,
    /// Constants, as `context.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
    /// Names of the secrets it may use, as `secrets.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Names of the environment variables it may use, as `env.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// An expression on the input; where it is false the run ends at once, all steps skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// How many steps may hold each named concurrency limit at once, over all runs of the definition in one engine.
    ///
    /// Other definitions do not share these limits, and neither do the definition's sub-workflows. Where the engine
    /// declares a limit of the same name, the name means that one, with the engine's number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub concurrency: BTreeMap<String, u32>,
    /// How many retries all steps together may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<u32>,
    /// How long the whole run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Delay>,
    /// What it does: the root step, at `/main`.
    pub body: StepKind,
    /// How much of a run survives a crash, where it is recorded at all.
    #[serde(default, skip_serializing_if = "super::step::is_default")]
    pub durability: Durability,
    /// How the state of a run of an earlier version becomes one of this version, by the earlier version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations: BTreeMap<String, Migration>,
    /// The definitions that its steps run, by the names that they have there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Arc<Definition>>,
    /// What its output is made of: JSON whose texts may hold references; `None`: the root step's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// Runs at `/main/$on_error` where the body failed; if it succeeds so does the run, with its output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_error: Steps,
    /// Runs at `/main/$finally` in any case, last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Steps,
}

impl Definition {
    /// A definition of `body` with no further settings.
    pub fn new(name: impl Into<String>, body: StepKind) -> Self {
        Self {
            name: name.into(),
            version: String::new(),
            description: String::new(),
            author: None,
            tags: Vec::new(),
            required_tools: Vec::new(),
            inputs: IndexMap::new(),
            variables: IndexMap::new(),
            environments: BTreeMap::new(),
            conditions: IndexMap::new(),
            context: BTreeMap::new(),
            secrets: Vec::new(),
            env: Vec::new(),
            trigger: None,
            concurrency: BTreeMap::new(),
            retry_budget: None,
            total_timeout: None,
            body,
            durability: Durability::default(),
            migrations: BTreeMap::new(),
            workflows: BTreeMap::new(),
            outputs: None,
            on_error: Vec::new(),
            finally: Vec::new(),
        }
    }

    /// Steps that run in order, or as a graph if any of them has dependencies.
    pub fn sequence(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(name, StepKind::Sequence(shared(steps)))
    }

    /// Adds a definition that its steps can run.
    #[must_use]
    pub fn with_workflow(mut self, definition: impl Into<Arc<Definition>>) -> Self {
        let definition = definition.into();
        self.workflows.insert(definition.name.clone(), definition);
        self
    }

    /// The definition's fingerprint: SHA-256 of its JSON with sorted keys, 64 hexadecimal digits.
    ///
    /// Two definitions that are equal by value have the same one, in whatever notation they were written.
    #[must_use]
    pub fn hash(&self) -> String {
        let value = serde_json::to_value(self).expect("a definition holds nothing that JSON cannot");
        Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How much of a run survives a crash.
///
/// Whatever it is, what survives is all up to some moment, and a run goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Each completion, before anyone acts on it: also of the machine.
    #[default]
    Sync,
    /// Each completion, when the process is killed; when the machine loses power, all but those since the sync before
    /// last, since one sync follows another while completions come.
    Async,
    /// What has left the process by the way; a killed process may lose what it did last.
    None,
}

/// What a field of the input must be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its type; `None`: any.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InputType>,
    /// Whether it must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its value where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The type of an input field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl InputType {
    /// Whether `value` is of this type.
    #[must_use]
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// The type as YAML spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}
