//! Prints the model as canonical YAML.

mod definition;
mod emit;
pub(crate) mod step;

use llmspell_workflows_basic::model::Definition;
use serde_json::Value;

/// Prints a definition as YAML; reading the YAML gives an equal definition.
///
/// The output is canonical: one name per field, a fixed order of fields, block style, and `|`
/// for multi-line strings.
/// Anything that the model does not contain is lost: comments, `defaults` (their settings are copied into the steps),
/// `personas`, and references to steps by id (the steps are printed inline).
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

/// Prints a JSON value as YAML in block style; reading the YAML gives an equal value.
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
    Map(YamlMap),
}

/// A mapping that keeps the order of its entries; the code that builds it leaves out empty and default values.
#[derive(Default)]
pub(crate) struct YamlMap(Vec<(String, Yaml)>);

impl YamlMap {
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

impl From<YamlMap> for Yaml {
    fn from(fields: YamlMap) -> Self {
        Self::Map(fields)
    }
}
