use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Delay, Migration, Step, StepKind, Steps, step::shared};

/// A workflow as data. A definition has a name, a version and a hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The name of the workflow.
    pub name: String,
    /// The version of the workflow, by convention `MAJOR.MINOR.PATCH`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// A description of the workflow's purpose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The author of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Search terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The tools that the workflow needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_tools: Vec<String>,
    /// The fields of the workflow's input. If there are none, any input is accepted.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, InputSpec>,
    /// Values computed when a run starts: JSON whose strings may refer to the
    /// input and to other variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, Value>,
    /// Values of variables, by environment; the environment is chosen when a run starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, IndexMap<String, Value>>,
    /// Named expressions, referred to as `conditions.NAME`, or by name alone where a condition is expected.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conditions: IndexMap<String, String>,
    /// Constants, available as `context.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
    /// The names of the secrets that the workflow may use as `secrets.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The names of the environment variables that the workflow may use as `env.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// An expression over the input. If it is false, all steps are skipped and the run ends immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// How many steps may hold each named concurrency limit at once, across all runs of the definition in one engine.
    ///
    /// Other definitions do not share these limits, not even sub-workflows of this definition. If the engine declares a
    /// limit with the same name, the engine's limit takes precedence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub concurrency: BTreeMap<String, u32>,
    /// The maximum number of retries in a run, counted across all steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<u32>,
    /// The time limit of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Delay>,
    /// The kind of the root step, at `/main`.
    pub body: StepKind,
    /// How much of a run survives a crash, if runs are recorded.
    #[serde(default, skip_serializing_if = "super::step::is_default")]
    pub durability: Durability,
    /// Migrations of the state from earlier versions of the definition, keyed by the earlier version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations: BTreeMap<String, Migration>,
    /// The definitions that this workflow's steps run, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Arc<Definition>>,
    /// The template of the workflow's output: JSON whose strings may contain references; `None` for the root step's
    /// output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// The steps that run at `/main/$on_error` if the body failed. If they succeed, the run succeeds with their output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_error: Steps,
    /// The steps that run last, at `/main/$finally`, even if the run fails or is cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Steps,
}

impl Definition {
    /// Creates a definition with the body `body` and default settings.
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

    /// Creates a definition whose steps run in order, or as a graph if any
    /// of them have dependencies.
    pub fn sequence(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(name, StepKind::Sequence(shared(steps)))
    }

    /// Adds a definition that steps of this definition can run as a sub-workflow.
    #[must_use]
    pub fn with_workflow(mut self, definition: impl Into<Arc<Definition>>) -> Self {
        let definition = definition.into();
        self.workflows.insert(definition.name.clone(), definition);
        self
    }

    /// Returns the definition as JSON text with sorted keys.
    ///
    /// Definitions that are equal by value have the same text, even if
    /// they use different notations.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).expect("a definition is always valid JSON").to_string()
    }

    /// Returns the hash of the definition: SHA-256 of [its JSON text](Self::to_json), as 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        Self::hash_of(&self.to_json())
    }

    /// Returns the hash of a definition with this JSON text.
    #[must_use]
    pub fn hash_of(json: &str) -> String {
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How much of a run survives a crash.
///
/// With any setting, all records up to some point survive, and the run continues from that point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every completion survives, even if the machine loses power: it is synced before anything depends on it.
    #[default]
    Sync,
    /// Every completion survives if the process is killed. If the machine loses power,
    /// completions since the second-to-last sync may be lost. Syncs follow one another as
    /// long as completions arrive.
    Async,
    /// No explicit flush; a crash of the process may lose recent steps.
    None,
}

/// The declaration of a field of the input.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InputSpec {
    /// The type of the field; `None` for any type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InputType>,
    /// Whether the field is required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The value of the field if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A description of the field's purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The type of an input field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    /// A string.
    String,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl InputType {
    /// Returns whether `value` has this type.
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

    /// Returns the name of the type in YAML.
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
