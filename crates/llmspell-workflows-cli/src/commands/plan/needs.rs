use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use llmspell_workflows_basic::{Plan, model::InputSpec};
use llmspell_workflows_tools::{Category, Permission, Registry, SecurityLevel};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::Settings,
    host,
    outline::{self, Block, Known},
};

/// An input field, with its value if it has one.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    required: bool,
    /// The value that a run would see.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    is_default: bool,
    pub(super) is_missing: bool,
    is_declared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// Returns the input fields with their values from `given`. Declared fields come first, then the
/// other fields of `given`. If no fields are declared, the fields read by expressions come first.
pub(super) fn fields(plan: &Plan, given: &Value) -> Vec<Field> {
    let declared = &plan.definition().inputs;
    let mut fields: Vec<Field> = declared.iter().map(|(name, spec)| field(name, spec, given.get(name))).collect();
    let read = |(name, needed): (&String, &bool)| {
        let spec = InputSpec { required: *needed, ..InputSpec::default() };
        Field { is_declared: false, ..field(name, &spec, given.get(name)) }
    };
    fields.extend(plan.input_fields().iter().map(read));
    for (name, value) in given.as_object().into_iter().flatten() {
        if fields.iter().all(|field| field.name != *name) {
            fields.push(Field { is_declared: false, ..field(name, &InputSpec::default(), Some(value)) });
        }
    }
    fields
}

fn field(name: &str, spec: &InputSpec, given: Option<&Value>) -> Field {
    Field {
        name: name.to_owned(),
        kind: spec.kind.map(|kind| kind.as_str()),
        required: spec.required,
        value: given.or(spec.default.as_ref()).cloned(),
        is_default: given.is_none() && spec.default.is_some(),
        is_missing: given.is_none() && spec.default.is_none() && spec.required,
        is_declared: true,
        description: spec.description.clone(),
    }
}

/// Returns whether a given field is not declared or has the wrong type.
pub(super) fn has_invalid(declared: &IndexMap<String, InputSpec>, given: &Value) -> bool {
    let fits = |(name, value): (&String, &Value)| {
        declared.get(name).is_some_and(|spec| spec.kind.is_none_or(|kind| kind.admits(value)))
    };
    !declared.is_empty() && !given.as_object().into_iter().flatten().all(fits)
}

impl Field {
    /// Returns the sign between the name of the field and its value in an argument: `=` for text, `:=` for JSON.
    pub(super) fn sign(&self) -> &'static str {
        if self.kind.is_none_or(|kind| kind == "string") { "=" } else { ":=" }
    }

    pub(super) fn row(&self) -> [String; 4] {
        let value = match (&self.value, self.is_missing) {
            (_, true) => "missing".to_owned(),
            (None, false) => "not given".to_owned(),
            (Some(value), false) => format!("{value}{}", if self.is_default { " (default)" } else { "" }),
        };
        let undeclared = if self.is_declared { "" } else { "not declared" };
        let description = self.description.clone().unwrap_or_else(|| undeclared.to_owned());
        [format!("  {}", self.name), self.kind.unwrap_or("any").to_owned(), value, description]
    }
}

/// The tools, activities and secrets that a run needs.
pub(super) struct Requirements {
    pub(super) tools: Vec<Tool>,
    /// Activities that are not tools.
    pub(super) others: Vec<OtherActivity>,
    pub(super) secrets: Vec<Secret>,
}

#[derive(Debug, Serialize)]
pub(super) struct Tool {
    name: String,
    category: Category,
    security_level: SecurityLevel,
    permissions: Vec<Permission>,
    /// The paths of the steps that call the tool.
    steps: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OtherActivity {
    kind: String,
    name: String,
    steps: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Secret {
    name: String,
    /// Whether the secret has a value on this machine.
    is_set: bool,
}

impl Requirements {
    /// Returns the requirements of the steps in `blocks`, the outline of `plan`, and of its sub-workflows.
    pub(super) fn new(blocks: &[Block], registry: &Registry, settings: &Settings, plan: &Plan) -> Self {
        let (mut calls, mut secrets) = (BTreeMap::new(), BTreeSet::new());
        collect(plan, blocks, "", &mut calls, &mut secrets);
        let (mut tools, mut others): (BTreeMap<&str, Tool>, Vec<OtherActivity>) = (BTreeMap::new(), Vec::new());
        for ((kind, name), steps) in calls {
            match registry.get(&name).filter(|_| kind == "tool").map(|tool| tool.spec()) {
                Some(spec) => {
                    let tool = tools.entry(spec.name).or_insert_with(|| Tool {
                        name: spec.name.to_owned(),
                        category: spec.category,
                        security_level: spec.security_level,
                        permissions: spec.permissions.to_vec(),
                        steps: Vec::new(),
                    });
                    tool.steps.extend(steps);
                }
                None => others.push(OtherActivity { kind, name, steps }),
            }
        }
        let secret = |name: &String| Secret { name: name.clone(), is_set: host::secret(settings, name).is_some() };
        Self { tools: tools.into_values().collect(), others, secrets: secrets.iter().map(secret).collect() }
    }

    pub(super) fn tool_rows(&self) -> impl Iterator<Item = [String; 4]> {
        self.tools.iter().map(|tool| {
            let permissions: Vec<_> = tool.permissions.iter().map(word).collect();
            let permissions = if permissions.is_empty() { "no permissions".to_owned() } else { permissions.join(", ") };
            [format!("  {}", tool.name), word(tool.security_level), permissions, tool.steps.join(", ")]
        })
    }

    pub(super) fn other_rows(&self) -> impl Iterator<Item = [String; 2]> {
        self.others
            .iter()
            .map(|other| [format!("  {}", format!("{} {}", other.kind, other.name).trim()), other.steps.join(", ")])
    }

    pub(super) fn secret_rows(&self) -> impl Iterator<Item = [String; 2]> {
        let state = |is_set| if is_set { "set" } else { "missing" };
        self.secrets.iter().map(move |secret| [format!("  {}", secret.name), state(secret.is_set).to_owned()])
    }
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Collects the paths of the steps that call each activity, and the secrets, of a workflow and its sub-workflows.
/// `around` is the path of the step that runs the workflow.
fn collect(
    plan: &Plan,
    blocks: &[Block],
    around: &str,
    calls: &mut BTreeMap<(String, String), Vec<String>>,
    secrets: &mut BTreeSet<String>,
) {
    secrets.extend(plan.definition().secrets.iter().cloned());
    for step in blocks.iter().flat_map(|block| &block.steps) {
        if let Some(call) = &step.call {
            let paths = calls.entry((call.kind.clone(), call.name.clone())).or_default();
            paths.push(format!("{around}{}", step.path));
        }
        collect(plan, &step.blocks, around, calls, secrets);
        let path = step.path.parse().ok();
        if let Some(inner) = path.and_then(|path| plan.sub_plan(&path)) {
            let blocks = outline::build(inner.definition(), &Known { waits: inner.waits(), decide: &|_| None });
            collect(inner, &blocks, &format!("{around}{}", step.path), calls, secrets);
        }
    }
}
