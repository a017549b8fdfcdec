//! Reads the parameters of activities.

use llmspell_workflows_basic::model::StepKind;
use serde_json::{Map, Value};

use super::{
    Fields, Reader,
    values::{BOOLEAN, SCALAR},
};
use crate::{
    CustomType,
    diagnose::At,
    dialect::{Field, Shape},
    kinds::call,
    tree::{Data, Entry, Node},
};

impl Reader<'_> {
    /// Merges the entries of `params` with the step's fields that are in `table`.
    pub(crate) fn merged(&mut self, fields: &Fields<'_, '_>, table: &'static [Field]) -> Option<Map<String, Value>> {
        let mut params = Map::new();
        if let Some(entry) = fields.get("params") {
            let Data::Map(entries) = &entry.value.data else {
                self.wrong_type(fields.at, &entry.key, &entry.value, "a mapping");
                return None;
            };
            self.mark(fields.at, "params", entry.value.span);
            for entry in entries {
                if let Some(field) = table.iter().find(|field| field.is_named(&entry.key)) {
                    self.check_param(field.shape, entry, fields.at);
                }
                self.param(&mut params, &entry.key, entry, fields);
            }
        }
        for field in table.iter().filter(|field| field.name != "params") {
            if let Some(entry) = fields.get(field.name) {
                self.check_param(field.shape, entry, fields.at);
                self.param(&mut params, field.name, entry, fields);
            }
        }
        Some(params)
    }

    /// Checks a parameter against the shape in the table.
    fn check_param(&mut self, shape: Shape, entry: &Entry<'_>, at: At) {
        let Entry { key, value, .. } = entry;
        let is_scalar = |node: &Node<'_>| !matches!(node.data, Data::Map(_) | Data::List(_) | Data::Null);
        match (shape, &value.data) {
            (Shape::Text, _) => drop(self.text_of(at, key, value)),
            (Shape::Bool, Data::Bool(_)) | (Shape::Items, Data::List(_) | Data::Text(_)) => {}
            (Shape::Bool, _) => self.wrong_type(at, key, value, BOOLEAN),
            (Shape::Items, _) => self.wrong_type(at, key, value, "a list"),
            (Shape::NonNull, Data::Null) => self.wrong_type(at, key, value, "a value"),
            (Shape::Env, Data::Map(entries)) => {
                for entry in entries.iter().filter(|entry| !is_scalar(&entry.value)) {
                    self.wrong_type(at, &entry.key, &entry.value, SCALAR);
                }
            }
            (Shape::Env, _) => self.wrong_type(at, key, value, "a mapping of names to values"),
            _ => {}
        }
    }

    fn param(&mut self, params: &mut Map<String, Value>, name: &str, entry: &Entry<'_>, fields: &Fields<'_, '_>) {
        if params.contains_key(name) {
            let message = format!("`{}` is set both in the step and in `params`", entry.key);
            self.error("duplicate_field", fields.at, entry.key_span, message).help("keep one of the two");
            return;
        }
        self.mark_all(fields.at, format!("params/{name}").into(), &entry.value);
        params.insert(name.to_owned(), entry.value.to_json());
    }

    /// Adds the workflow's environment variables, except those that the step sets itself.
    pub(crate) fn add_env(&mut self, params: &mut Map<String, Value>) {
        if self.process_env.is_empty() {
            return;
        }
        let own = params.entry("env").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(own) = own {
            for (name, value) in &self.process_env {
                own.entry(name).or_insert_with(|| value.clone());
            }
        }
    }

    /// Reads a step of a custom type, whose fields become parameters.
    pub(crate) fn custom(&mut self, kind: &str, custom: &CustomType, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let name = self.text(fields, "activity").unwrap_or_default();
        for missing in custom.required().filter(|name| !fields.custom.iter().any(|entry| entry.key == **name)) {
            let is_param = fields.get("params").is_some_and(|entry| entry.value.get(missing).is_some());
            if !is_param {
                let message = format!("missing field `{missing}` in {}", fields.what);
                self.error("missing_field", fields.at, fields.head, message).help(format!("add `{missing}`"));
            }
        }
        if fields.custom.is_empty() && !custom.starts_process() {
            let params = self.json(fields, "params", "params").unwrap_or_default();
            return Some(call(kind, name, params));
        }
        let mut params = self.merged(fields, &[])?;
        fields.custom.iter().for_each(|entry| self.param(&mut params, &entry.key, entry, fields));
        if custom.starts_process() {
            self.add_env(&mut params);
        }
        let is_given = !params.is_empty() || fields.has("params");
        Some(call(kind, name, if is_given { Value::Object(params) } else { Value::Null }))
    }

    /// Returns the JSON value in the field `name`, which must not be null.
    pub(crate) fn non_null(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<Value> {
        let entry = fields.get(name)?;
        if matches!(entry.value.data, Data::Null) {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a value");
            return None;
        }
        self.json(fields, name, name)
    }
}
