//! Custom step types.

use std::collections::BTreeMap;

use crate::dialect::{Field, Shape, field};

/// The custom step types of a host, in addition to the types of the dialect.
///
/// A step of a custom type calls the activity of that kind, with the step's fields as parameters.
///
/// ```
/// use llmspell_workflows_definition::{CustomType, StepTypes, read};
///
/// let notify = CustomType::new("Sends a notification.").with_required_field("channel").with_field("urgent");
/// let types = StepTypes::new().with("notify", notify);
/// let document = read("{name: x, steps: [{id: a, type: notify, channel: ops}]}", "x.yaml", &types)?;
/// # let _ = document;
/// # Ok::<(), llmspell_workflows_definition::Diagnostics>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct StepTypes {
    by_name: BTreeMap<String, CustomType>,
}

/// A custom step type, with the fields that it adds to the common fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomType {
    doc: String,
    fields: Vec<String>,
    required: Vec<String>,
    starts_process: bool,
}

impl StepTypes {
    /// Creates an empty set: only the types of the dialect are known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `custom` under `name`; it takes precedence over a type of the dialect with the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, custom: CustomType) -> Self {
        self.by_name.insert(name.into(), custom);
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&CustomType> {
        self.by_name.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.by_name.keys().map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &CustomType)> {
        self.by_name.iter().map(|(name, custom)| (name.as_str(), custom))
    }
}

impl CustomType {
    /// The fields of every custom type.
    pub(crate) const TABLE: &[Field] = &[
        field("activity", Shape::Text, "The name of the activity, if there are several of its kind."),
        field("params", Shape::Any, "The input of the activity; strings may contain references.").or(&[
            "with",
            "config",
            "parameters",
        ]),
    ];

    /// Creates a type with the documentation `doc` and no fields.
    pub fn new(doc: impl Into<String>) -> Self {
        Self { doc: doc.into(), ..Self::default() }
    }

    /// Adds a field; its value becomes the parameter of the same name.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>) -> Self {
        self.fields.push(name.into());
        self
    }

    /// Adds a required field; its value becomes the parameter of the same name.
    #[must_use]
    pub fn with_required_field(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.with_field(name)
    }

    /// Declares that steps of this type start a process and may therefore have an `env` field.
    #[must_use]
    pub fn with_process(mut self) -> Self {
        self.starts_process = true;
        self.with_field("env")
    }

    pub(crate) fn doc(&self) -> &str {
        &self.doc
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.fields
    }

    pub(crate) fn required(&self) -> impl Iterator<Item = &String> {
        self.required.iter()
    }

    pub(crate) fn starts_process(&self) -> bool {
        self.starts_process
    }
}
