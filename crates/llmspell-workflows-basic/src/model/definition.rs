use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Delay, Migration, Step, StepKind, Steps, step::shared};

/// A workflow as data, with a name, a version and a hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its version, by convention `MAJOR.MINOR.PATCH`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its purpose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Search terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Tools that it needs to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_tools: Vec<String>,
    /// The fields of its input; empty: any input is accepted.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, InputSpec>,
    /// Values computed at the start, in order: JSON whose texts may refer to the input and to earlier variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, Value>,
    /// Values of variables by environment, which is chosen when a run starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, IndexMap<String, Value>>,
    /// Named expressions: `conditions.NAME`, or only the name where a condition is expected.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conditions: IndexMap<String, String>,
    /// Constants, available as `context.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
    /// Names of the secrets that it may use, as `secrets.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Names of the environment variables that it may use, as `env.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// An expression on the input; if it is false, the run ends immediately with all steps skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// How many steps may hold each named concurrency limit at once, over all runs of the definition in one engine.
    ///
    /// Other definitions do not share these limits, and neither do the definition's sub-workflows. If the engine
    /// declares a limit with the same name, the engine's limit and number apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub concurrency: BTreeMap<String, u32>,
    /// The maximum number of retries of all steps together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<u32>,
    /// How long the whole run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Delay>,
    /// The kind of the root step, at `/main`.
    pub body: StepKind,
    /// How much of a run survives a crash, if runs are recorded.
    #[serde(default, skip_serializing_if = "super::step::is_default")]
    pub durability: Durability,
    /// Migrations of the state of runs of earlier versions, by the earlier version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations: BTreeMap<String, Migration>,
    /// The definitions that its steps run, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Arc<Definition>>,
    /// The template of its output: JSON whose texts may contain references; `None`: the root step's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// Runs at `/main/$on_error` if the body failed; if it succeeds, so does the run, with its output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_error: Steps,
    /// Runs last at `/main/$finally`, in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Steps,
}

impl Definition {
    /// Creates a definition of `body` without further settings.
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

    /// Creates a definition of steps that run in order, or as a graph if any of them has dependencies.
    pub fn sequence(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(name, StepKind::Sequence(shared(steps)))
    }

    /// Adds a definition that the steps of this one can run as a sub-workflow.
    #[must_use]
    pub fn with_workflow(mut self, definition: impl Into<Arc<Definition>>) -> Self {
        let definition = definition.into();
        self.workflows.insert(definition.name.clone(), definition);
        self
    }

    /// Returns its hash: SHA-256 of its JSON with sorted keys, as 64 hexadecimal digits.
    ///
    /// Definitions that are equal by value have the same hash, regardless of their notation.
    #[must_use]
    pub fn hash(&self) -> String {
        let value = serde_json::to_value(self).expect("a definition is always valid JSON");
        Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How much of a run survives a crash.
///
/// With every setting, everything up to some moment survives, and the run continues from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Every completion survives, even if the machine loses power: it is synced before anything depends on it.
    #[default]
    Sync,
    /// Every completion survives if the process is killed. If the machine loses power, all but the completions since
    /// the sync before last survive; syncs follow one another while completions arrive.
    Async,
    /// No explicit flush; a crash of the process may lose recent steps.
    None,
}

/// The declaration of a field of the input.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its type; `None`: any type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InputType>,
    /// Whether it is required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its value if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Its purpose.
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
