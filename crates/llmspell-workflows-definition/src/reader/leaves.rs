//! Steps that do something themselves.

use llmspell_workflows_basic::model::{
    ActivityCall, ActivityName, OnTimeout, StepKind, SubWorkflow, Validate, ValidateMode, WaitForEvent,
};
use serde_json::{Map, Value};

use super::{Fields, Reader};
use crate::{
    CustomType,
    diagnose::At,
    dialect::{Field, Shape, VALIDATOR},
    tree::{Data, Entry, Node},
};

/// The parameters of a `shell` step.
const SHELL: &[&str] = &["command", "argv", "cwd", "stdin", "allow_failure", "env"];

impl Reader<'_> {
    /// An activity named by the field `field`.
    pub(super) fn activity(&mut self, kind: &str, field: &'static str, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let name = self.text(fields, field)?;
        self.mark_as(fields, field, "activity");
        if field == "persona" {
            self.check_persona(&name, fields);
        }
        let params = self.json(fields, "params", "params").unwrap_or_default();
        Some(call(kind, name, params))
    }

    fn check_persona(&mut self, name: &str, fields: &Fields<'_, '_>) {
        let Some(personas) = &self.personas else { return };
        if personas.iter().any(|persona| persona == name) || name.contains("{{") || name.contains("${") {
            return;
        }
        let help = self.suggest(name, personas.iter().map(String::as_str));
        let span = fields.get("persona").map_or(fields.head, |entry| entry.value.span);
        let finding = self.error("unknown_persona", fields.at, span, format!("`{name}` is not one of the `personas`"));
        finding.severity = llmspell_workflows_basic::Severity::Warning;
        finding.help = help;
    }

    /// The entries of `params` with the fields of `table` that stand beside it.
    fn merged(&mut self, fields: &Fields<'_, '_>, table: &'static [Field]) -> Option<Map<String, Value>> {
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

    /// Refuses a parameter of another shape than the table says.
    fn check_param(&mut self, shape: Shape, entry: &Entry<'_>, at: At) {
        let Entry { key, value, .. } = entry;
        let is_scalar = |node: &Node<'_>| !matches!(node.data, Data::Map(_) | Data::List(_) | Data::Null);
        match (shape, &value.data) {
            (Shape::Text, _) => drop(self.text_of(at, key, value)),
            (Shape::Bool, Data::Bool(_)) | (Shape::Items, Data::List(_) | Data::Text(_)) => {}
            (Shape::Bool, _) => self.wrong_type(at, key, value, "true or false"),
            (Shape::Items, _) => self.wrong_type(at, key, value, "a list"),
            (Shape::Given, Data::Null) => self.wrong_type(at, key, value, "a value"),
            (Shape::Env, Data::Map(entries)) => {
                for entry in entries.iter().filter(|entry| !is_scalar(&entry.value)) {
                    self.wrong_type(at, &entry.key, &entry.value, "a text");
                }
            }
            (Shape::Env, _) => self.wrong_type(at, key, value, "a mapping of names to texts"),
            _ => {}
        }
    }

    fn param(&mut self, params: &mut Map<String, Value>, name: &str, entry: &Entry<'_>, fields: &Fields<'_, '_>) {
        if params.contains_key(name) {
            let message = format!("`{}` stands beside the parameters and among them", entry.key);
            self.error("duplicate_field", fields.at, entry.key_span, message).help("keep one of the two");
            return;
        }
        self.mark_all(fields.at, format!("params/{name}").into(), &entry.value);
        params.insert(name.to_owned(), entry.value.to_json());
    }

    /// Adds the variables that every process gets, where the step does not set them itself.
    fn add_env(&mut self, params: &mut Map<String, Value>) {
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

    pub(super) fn shell(&mut self, fields: &Fields<'_, '_>, table: &'static [Field]) -> Option<StepKind> {
        let mut params = self.merged(fields, table)?;
        self.check_shell(&params, fields);
        self.add_env(&mut params);
        self.mark(fields.at, "activity", fields.head);
        Some(call("shell", String::new(), Value::Object(params)))
    }

    fn check_shell(&mut self, params: &Map<String, Value>, fields: &Fields<'_, '_>) {
        let entries = fields.get("params").map(|entry| entry.value.entries()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !SHELL.contains(&entry.key.as_ref())) {
            let help = self.suggest(&entry.key, SHELL.iter().copied());
            let message = format!("`{}` is not a parameter of a `shell` step", entry.key);
            self.error("unknown_field", fields.at, entry.key_span, message).help = help;
        }
        match (params.contains_key("command"), params.contains_key("argv")) {
            (true, true) => {
                self.error("conflicting_fields", fields.at, fields.head, "the step has both `command` and `argv`")
                    .help("`command` is a line for `sh -c`, `argv` a program and its arguments; keep one");
            }
            (false, false) => {
                self.error("missing_field", fields.at, fields.head, "the step lacks `command`")
                    .help("add `command`, a line for `sh -c`, or `argv`, a program and its arguments");
            }
            _ => {}
        }
    }

    pub(super) fn git(&mut self, fields: &Fields<'_, '_>, table: &'static [Field]) -> Option<StepKind> {
        let mut params = self.merged(fields, table)?;
        let operation = match params.remove("operation") {
            Some(Value::String(operation)) if !operation.is_empty() => operation,
            Some(_) => return None,
            None => {
                self.error("missing_field", fields.at, fields.head, "the step lacks `operation`")
                    .help("add `operation`, such as commit, push or merge");
                return None;
            }
        };
        let span = self.field_span(fields.at, "params/operation");
        self.mark_text(fields.at, "activity", span, &operation);
        self.add_env(&mut params);
        let is_given = !params.is_empty() || fields.get("params").is_some_and(|entry| entry.value.entries().is_empty());
        Some(call("git-operation", operation, if is_given { Value::Object(params) } else { Value::Null }))
    }

    pub(super) fn http(&mut self, fields: &Fields<'_, '_>, table: &'static [Field]) -> Option<StepKind> {
        let mut params = self.merged(fields, table)?;
        if !params.contains_key("input")
            && let Some(url) = params.remove("url")
        {
            params.insert("input".to_owned(), url);
            let span = self.field_span(fields.at, "params/url");
            self.mark(fields.at, "params/input", span);
        }
        if !params.contains_key("input") {
            self.error("missing_field", fields.at, fields.head, "the step lacks `url`").help("add `url`, the address");
        }
        self.mark(fields.at, "activity", fields.head);
        Some(call("tool", "http_requester".to_owned(), Value::Object(params)))
    }

    /// A step of a type from outside: its fields go into its parameters.
    pub(super) fn custom(&mut self, kind: &str, custom: &CustomType, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let name = self.text(fields, "activity").unwrap_or_default();
        for missing in custom.required().filter(|name| !fields.custom.iter().any(|entry| entry.key == **name)) {
            let is_param = fields.get("params").is_some_and(|entry| entry.value.get(missing).is_some());
            if !is_param {
                let message = format!("{} lacks `{missing}`", fields.what);
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

    pub(super) fn set(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let entry = fields.get("params")?;
        let Data::Map(entries) = &entry.value.data else {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a mapping of state keys to values");
            return None;
        };
        self.mark(fields.at, "set", entry.value.span);
        for entry in entries {
            self.mark_all(fields.at, format!("set/{}", entry.key).into(), &entry.value);
        }
        match entry.value.to_json() {
            Value::Object(values) => Some(StepKind::Set(values)),
            _ => None,
        }
    }

    pub(super) fn validate(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let modes = [("strict", ValidateMode::Strict), ("warn", ValidateMode::Warn)];
        Some(StepKind::Validate(Validate {
            data: self.json(fields, "data", "data").unwrap_or_default(),
            schema: self.given(fields, "schema"),
            validator: self.validator(fields),
            assertions: self.expressions(fields, "assertions"),
            mode: self.word(fields, "mode", &modes).unwrap_or_default(),
            transform: self.given(fields, "transform"),
        }))
    }

    pub(super) fn workflow(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let version = fields.get("version").map(|entry| match &entry.value.data {
            Data::Number(_) => Some(entry.value.span.slice(self.source.text()).to_owned()),
            _ => self.text_of(fields.at, &entry.key, &entry.value),
        });
        Some(StepKind::Workflow(SubWorkflow {
            workflow: self.text(fields, "workflow")?,
            version: version.flatten(),
            input: self.json(fields, "input", "input").unwrap_or_default(),
        }))
    }

    pub(super) fn wait_for_event(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let ends = [("fail", OnTimeout::Fail), ("continue", OnTimeout::Continue)];
        Some(StepKind::WaitForEvent(WaitForEvent {
            event: self.text(fields, "event")?,
            filter: self.expression(fields, "filter"),
            on_timeout: self.word(fields, "on_timeout", &ends).unwrap_or_default(),
        }))
    }

    /// Any value but nothing.
    pub(super) fn given(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<Value> {
        let entry = fields.get(name)?;
        if matches!(entry.value.data, Data::Null) {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a value");
            return None;
        }
        self.json(fields, name, name)
    }

    /// `NAME` is a function, `KIND:NAME` anything else.
    fn validator(&mut self, fields: &Fields<'_, '_>) -> Option<ActivityName> {
        let entry = fields.get("validator")?;
        if let Data::Map(_) = entry.value.data {
            self.mark(fields.at, "validator", entry.value.span);
            let parts = self.fields(&entry.value, &[VALIDATOR], &[], "`validator`", fields.at)?;
            let kind = self.text_of(fields.at, "kind", &parts.get("kind")?.value)?;
            let name = parts.get("name").and_then(|entry| self.text_of(fields.at, "name", &entry.value));
            return Some(ActivityName::new(kind, name.unwrap_or_default()));
        }
        let text = self.text(fields, "validator")?;
        let (kind, name) = text.split_once(':').unwrap_or(("function", &text));
        Some(ActivityName::new(kind, name))
    }
}

fn call(kind: &str, name: String, params: Value) -> StepKind {
    StepKind::Activity(ActivityCall { activity: ActivityName::new(kind, name), params })
}
