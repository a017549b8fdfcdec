//! The model to canonical YAML.

mod definition;
mod emit;
pub(crate) mod step;

use llmspell_workflows_basic::model::Definition;
use serde_json::Value;

/// The definition as YAML that reads back as an equal definition.
///
/// The form is canonical: one name for each field, one order of fields, block style, texts of several lines as `|`.
/// What the model does not hold is gone: comments, `defaults` (their settings stand at each step), `personas`, and ids
/// in place of inline steps.
///
/// ```
/// use llmspell_workflows_basic::model::{Definition, Step};
/// use llmspell_workflows_definition::{StepTypes, read, to_yaml};
///
/// let definition = Definition::sequence("greet", [Step::tool("hello", "template_creator", "Hi {{ name }}".into())]);
/// let text = to_yaml(&definition);
/// assert_eq!(
///     text,
///     "name: greet\nsteps:\n  - id: hello\n    type: tool\n    tool: template_creator\n    params: Hi {{ name }}\n",
/// );
/// assert_eq!(read(&text, "greet.yaml", &StepTypes::new())?.definition, definition);
/// # Ok::<(), llmspell_workflows_definition::Diagnostics>(())
/// ```
#[must_use]
pub fn to_yaml(definition: &Definition) -> String {
    emit::document(&definition::definition(definition))
}

/// Any value as YAML in block style, which reads back as an equal value.
///
/// ```
/// use llmspell_workflows_definition::value_to_yaml;
/// use serde_json::json;
///
/// assert_eq!(value_to_yaml(&json!({"lines": [1, 2], "note": "yes"})), "lines:\n  - 1\n  - 2\nnote: \"yes\"\n");
/// assert_eq!(value_to_yaml(&json!([{"a": 1}])), "- a: 1\n");
/// ```
#[must_use]
pub fn value_to_yaml(value: &Value) -> String {
    emit::value_alone(value)
}

/// A value whose mappings keep their order.
pub(crate) enum Yaml {
    Value(Value),
    List(Vec<Yaml>),
    Map(Fields),
}

/// The entries of a mapping in the making; what says nothing is left out.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Yaml)>);

impl Fields {
    pub(crate) fn put(&mut self, name: impl Into<String>, value: impl Into<Yaml>) {
        self.0.push((name.into(), value.into()));
    }

    pub(crate) fn put_some<T: Into<Yaml>>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    pub(crate) fn put_texts(&mut self, name: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.put(name, Yaml::List(texts.iter().map(|text| text.as_str().into()).collect()));
        }
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Value(text.into())
    }
}

impl From<&String> for Yaml {
    fn from(text: &String) -> Self {
        Self::Value(text.as_str().into())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Value(text.into())
    }
}

impl From<Value> for Yaml {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&Value> for Yaml {
    fn from(value: &Value) -> Self {
        Self::Value(value.clone())
    }
}

impl From<Vec<Yaml>> for Yaml {
    fn from(items: Vec<Yaml>) -> Self {
        Self::List(items)
    }
}

impl From<Fields> for Yaml {
    fn from(fields: Fields) -> Self {
        Self::Map(fields)
    }
}
