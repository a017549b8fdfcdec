//! Reads a definition.

use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use llmspell_workflows_basic::model::{Definition, Delay, Durability, InputSpec, InputType, StepKind};
use serde_json::Value;

use super::{
    Fields, Reader,
    lists::{RouteSettings, Siblings},
    values::SCALAR,
};
use crate::{
    diagnose::{At, Positions},
    dialect::{BODY, COMMANDS, INPUT, ROOT, STEPS, TIMEOUTS, TRIGGER},
    tree::{Data, Entry, Node},
};

impl Reader<'_> {
    /// Reads the whole document; returns `None` if too little is readable.
    pub(crate) fn definition(&mut self, root: &Node<'_>) -> Option<Definition> {
        if let Some(entry) = root.entries().iter().find(|entry| COMMANDS.contains(&entry.key.as_ref())) {
            self.unsupported(At::ROOT, entry.key_span, &entry.key, "define the workflow with `steps` instead");
            return None;
        }
        if matches!(root.data, Data::List(_)) {
            self.error("wrong_type", At::ROOT, root.span, "a definition has the fields `name` and `steps`, got a list")
                .help("write `name:` and `steps:` above the list, and indent the list");
            return None;
        }
        let fields = self.fields(root, &[ROOT], &[], "a definition", At::ROOT)?;
        self.mark(At::ROOT, "", fields.head);
        if let Some(entry) = fields.get("defaults") {
            self.read_defaults(&entry.value);
        }
        self.read_env_and_personas(&fields);
        let body = self.root_body(&fields);
        // An unreadable name has been reported, and must not be reported as missing too.
        let name = self.text(&fields, "name").unwrap_or_else(|| "_".to_owned());
        let mut definition = Definition::new(name, body.unwrap_or(StepKind::Sequence(Vec::new())));
        self.metadata(&mut definition, &fields);
        self.values(&mut definition, &fields);
        self.run_settings(&mut definition, &fields);
        self.handlers(&mut definition, &fields);
        Some(definition)
    }

    fn metadata(&mut self, definition: &mut Definition, fields: &Fields<'_, '_>) {
        definition.version = self.version(fields).unwrap_or_default();
        definition.description = self.text(fields, "description").unwrap_or_default();
        definition.author = self.text(fields, "author");
        definition.tags = self.texts(fields, "tags");
        definition.required_tools = self.texts(fields, "required_tools");
        definition.secrets = self.texts(fields, "secrets");
    }

    /// Returns the version as written so that `1.0` does not become 1.
    fn version(&mut self, fields: &Fields<'_, '_>) -> Option<String> {
        let entry = fields.get("version")?;
        self.mark(At::ROOT, "version", entry.value.span);
        self.version_of(&entry.key, &entry.value)
    }

    pub(crate) fn version_of(&mut self, name: &str, node: &Node<'_>) -> Option<String> {
        match &node.data {
            Data::Number(_) => Some(node.span.slice(self.source.text()).to_owned()),
            _ => self.text_of(At::ROOT, name, node),
        }
    }

    fn read_env_and_personas(&mut self, fields: &Fields<'_, '_>) {
        if let Some(entry) = fields.get("env").filter(|entry| matches!(entry.value.data, Data::Map(_))) {
            for variable in entry.value.entries() {
                if matches!(variable.value.data, Data::List(_) | Data::Map(_) | Data::Null) {
                    self.wrong_type(At::ROOT, &variable.key, &variable.value, SCALAR);
                }
                self.process_env.insert(variable.key.as_ref().to_owned(), variable.value.to_json());
            }
        }
        let Some(entry) = fields.get("personas") else { return };
        self.personas = Some(match &entry.value.data {
            Data::Map(personas) => personas.iter().map(|persona| self.persona(persona)).collect(),
            _ => self.texts(fields, "personas"),
        });
    }

    /// Returns the name of a declared persona; a description is the only supported option.
    fn persona(&mut self, entry: &Entry<'_>) -> String {
        if !matches!(entry.value.data, Data::Null | Data::Text(_)) {
            let message = format!("options of persona `{}` are not supported in this version", entry.key);
            self.error("unsupported", At::ROOT, entry.key_span, message)
                .help("use a string, the persona's description");
        }
        entry.key.as_ref().to_owned()
    }

    fn root_body(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let start = self.text(fields, "start_step");
        let transitions_max = self.count(fields, "max_transitions", 1);
        let Some(steps) = fields.get("steps") else { return self.single_body(fields) };
        if let Some(body) = fields.get("body") {
            self.error("conflicting_fields", At::ROOT, body.key_span, "`steps` and `body` are mutually exclusive")
                .help("keep one of the two");
        }
        let is_empty = matches!(&steps.value.data, Data::List(items) if items.is_empty()) || is_empty_map(&steps.value);
        if is_empty {
            self.error("empty_block", At::ROOT, steps.value.span, "`steps` is empty, so the workflow would do nothing")
                .help("add at least one step, such as `- {id: greet, command: echo hello}`");
        }
        let at = self.positions.enter("/main".to_owned(), steps.key_span);
        self.mark(at, "steps", steps.value.span);
        self.mark_at(at, fields, "start_step", "start");
        self.mark_at(at, fields, "max_transitions", "transitions_max");
        Some(self.body(&steps.key, &steps.value, at, RouteSettings { start, transitions_max, is_route: false }))
    }

    fn mark_at(&mut self, at: At, fields: &Fields<'_, '_>, name: &str, word: &'static str) {
        if let Some(entry) = fields.get(name) {
            self.mark(at, word, entry.value.span);
        }
    }

    /// Reads `body`, the single block of a definition without `steps`.
    fn single_body(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        for name in ["start_step", "max_transitions"] {
            if let Some(entry) = fields.get(name) {
                let message = format!("`{}` requires `steps`", entry.key);
                self.error("conflicting_fields", At::ROOT, entry.key_span, message);
            }
        }
        let Some(entry) = fields.get("body") else {
            if fields.is_meant("steps") || fields.is_meant("body") {
                return None;
            }
            self.error("missing_field", At::ROOT, fields.head, "missing field `steps` in a definition")
                .help("add `steps`, a list of steps");
            return None;
        };
        let at = self.positions.enter("/main".to_owned(), entry.key_span);
        if !matches!(entry.value.data, Data::Map(_)) {
            self.wrong_type(at, "body", &entry.value, "a mapping");
            return None;
        }
        if entry.value.get("type").is_none() {
            self.error("missing_field", at, entry.key_span, "missing field `type` in `body`")
                .help("add `type`, such as `type: parallel`");
            return None;
        }
        let kind = self.kind_of(&entry.value, at)?;
        let what = format!("a `{}` body", kind.name());
        let body = self.fields(&entry.value, &[kind.fields(), BODY], kind.custom_fields(), what, at)?;
        let is_steps = |entry: &&Entry<'_>| matches!(entry.value.data, Data::Map(_) | Data::List(_));
        for (name, entry) in [
            ("only_if", body.get("only_if")),
            ("on_iteration_error", body.get("on_iteration_error")),
            ("on_error", body.get("on_error").filter(is_steps)),
        ] {
            if let Some(entry) = entry {
                let message = format!("`{name}` is not allowed in `body`, which is the whole workflow");
                self.error("conflicting_fields", at, entry.key_span, message);
            }
        }
        self.build(&kind, &body, &mut Siblings::new(Vec::new()), "main")
    }

    fn values(&mut self, definition: &mut Definition, fields: &Fields<'_, '_>) {
        for entry in self.mapping(fields, "inputs") {
            if let Some(spec) = self.input(entry) {
                definition.inputs.insert(entry.key.as_ref().to_owned(), spec);
            }
        }
        definition.variables = self.object(fields, "variables", "variables".to_owned());
        for entry in self.mapping(fields, "environments") {
            let name = entry.key.as_ref().to_owned();
            let mut variables = IndexMap::new();
            if !matches!(entry.value.data, Data::Map(_)) {
                self.wrong_type(At::ROOT, &entry.key, &entry.value, "a mapping of variables to values");
            }
            for variable in entry.value.entries() {
                self.mark_all(At::ROOT, format!("environments/{name}/{}", variable.key).into(), &variable.value);
                variables.insert(variable.key.as_ref().to_owned(), variable.value.to_json());
            }
            self.mark(At::ROOT, format!("environments/{name}"), entry.key_span);
            definition.environments.insert(name, variables);
        }
        for entry in self.mapping(fields, "conditions") {
            if let Some(expression) = self.expression_of(At::ROOT, &entry.key, &entry.value) {
                self.mark_text(At::ROOT, format!("conditions/{}", entry.key), entry.value.span, &expression);
                definition.conditions.insert(entry.key.as_ref().to_owned(), expression);
            }
        }
        definition.context =
            self.object(fields, "context", "context".to_owned()).into_iter().collect::<BTreeMap<_, _>>();
        self.migrations(definition, fields);
        for entry in self.mapping(fields, "workflows") {
            self.mark(At::ROOT, format!("workflows/{}", entry.key), entry.key_span);
            if let Some(inner) = self.inner_definition(&entry.value) {
                definition.workflows.insert(entry.key.as_ref().to_owned(), Arc::new(inner));
            }
        }
        let durabilities = [("sync", Durability::Sync), ("async", Durability::Async), ("none", Durability::None)];
        definition.durability = self.word(fields, "durability", &durabilities).unwrap_or_default();
        definition.outputs = self.non_null(fields, "outputs");
    }

    /// Reads an inner definition, which inherits nothing from the outer definition.
    fn inner_definition(&mut self, node: &Node<'_>) -> Option<Definition> {
        let outer = (
            std::mem::replace(&mut self.positions, Positions::new()),
            std::mem::take(&mut self.defaults),
            std::mem::take(&mut self.process_env),
            self.personas.take(),
        );
        let found = self.findings.len();
        let definition = self.definition(node);
        self.findings.detach(found);
        (self.positions, self.defaults, self.process_env, self.personas) = outer;
        definition
    }

    pub(crate) fn mapping<'n, 's>(&mut self, fields: &Fields<'n, 's>, name: &'static str) -> &'n [Entry<'s>] {
        let Some(entry) = fields.get(name) else { return &[] };
        self.mark(At::ROOT, name, entry.value.span);
        if !matches!(entry.value.data, Data::Map(_)) {
            self.wrong_type(At::ROOT, &entry.key, &entry.value, "a mapping");
        }
        entry.value.entries()
    }

    fn object(&mut self, fields: &Fields<'_, '_>, name: &'static str, word: String) -> IndexMap<String, Value> {
        let entries = self.mapping(fields, name);
        for entry in entries {
            self.mark_all(At::ROOT, format!("{word}/{}", entry.key).into(), &entry.value);
        }
        entries.iter().map(|entry| (entry.key.as_ref().to_owned(), entry.value.to_json())).collect()
    }

    fn input(&mut self, entry: &Entry<'_>) -> Option<InputSpec> {
        let word = format!("inputs/{}", entry.key);
        self.mark(At::ROOT, word.clone(), entry.key_span);
        match &entry.value.data {
            Data::Null => Some(InputSpec::default()),
            Data::Text(_) => {
                let kind = self.word_of(At::ROOT, &entry.key, &entry.value, TYPES)?;
                Some(InputSpec { kind, ..InputSpec::default() })
            }
            _ => {
                let fields =
                    self.fields(&entry.value, &[INPUT], &[], format!("the input `{}`", entry.key), At::ROOT)?;
                let kind = fields.get("type").and_then(|kind| self.word_of(At::ROOT, "type", &kind.value, TYPES));
                if let Some(default) = fields.get("default") {
                    self.mark_all(At::ROOT, format!("{word}/default").into(), &default.value);
                }
                Some(InputSpec {
                    kind: kind.flatten(),
                    required: self.boolean(&fields, "required").unwrap_or_default(),
                    default: fields.get("default").map(|entry| entry.value.to_json()),
                    description: fields.get("description").and_then(|d| self.text_of(At::ROOT, &d.key, &d.value)),
                })
            }
        }
    }

    fn run_settings(&mut self, definition: &mut Definition, fields: &Fields<'_, '_>) {
        definition.retry_budget = self.count(fields, "max_retry_budget", 0);
        self.mark_as(fields, "max_retry_budget", "retry_budget");
        for entry in self.mapping(fields, "concurrency") {
            self.mark(At::ROOT, format!("concurrency/{}", entry.key), entry.value.span);
            if let Some(count) = self.count_of(At::ROOT, &entry.key, &entry.value, 1) {
                definition.concurrency.insert(entry.key.as_ref().to_owned(), count);
            }
        }
        definition.total_timeout = fields.get("timeouts").and_then(|entry| self.total_timeout(entry));
        if fields.get("env").is_some_and(|entry| !matches!(entry.value.data, Data::Map(_))) {
            definition.env = self.texts(fields, "env");
        }
        definition.trigger = fields.get("trigger").and_then(|entry| self.trigger(entry));
    }

    fn total_timeout(&mut self, entry: &Entry<'_>) -> Option<Delay> {
        let fields = self.fields(&entry.value, &[TIMEOUTS], &[], "`timeouts`", At::ROOT)?;
        let total = fields.get("total")?;
        self.mark(At::ROOT, "timeouts/total", total.value.span);
        self.delay_of(At::ROOT, &total.key, &total.value)
    }

    fn trigger(&mut self, entry: &Entry<'_>) -> Option<String> {
        let node = match &entry.value.data {
            Data::Map(_) => {
                let fields = self.fields(&entry.value, &[TRIGGER], &[], "`trigger`", At::ROOT)?;
                &fields.get("condition")?.value
            }
            _ => &entry.value,
        };
        let expression = self.expression_of(At::ROOT, "trigger", node)?;
        self.mark_text(At::ROOT, "trigger", node.span, &expression);
        Some(expression)
    }

    fn handlers(&mut self, definition: &mut Definition, fields: &Fields<'_, '_>) {
        if let Some(entry) = fields.get("on_error") {
            self.mark(At::ROOT, "on_error", entry.value.span);
            let steps = match &entry.value.data {
                Data::Map(_) => self
                    .fields(&entry.value, &[STEPS], &[], "`on_error`", At::ROOT)
                    .and_then(|fields| fields.get("steps")),
                _ => Some(entry),
            };
            if let Some(steps) = steps {
                definition.on_error = self.steps(&steps.key, &steps.value, "/main/$on_error", At::ROOT);
            }
        }
        if let Some(entry) = fields.get("finally") {
            self.mark(At::ROOT, "finally", entry.value.span);
            definition.finally = self.steps(&entry.key, &entry.value, "/main/$finally", At::ROOT);
        }
    }
}

fn is_empty_map(node: &Node<'_>) -> bool {
    matches!(&node.data, Data::Map(entries) if entries.is_empty())
}

const TYPES: &[(&str, Option<InputType>)] = &[
    ("string", Some(InputType::String)),
    ("integer", Some(InputType::Integer)),
    ("number", Some(InputType::Number)),
    ("boolean", Some(InputType::Boolean)),
    ("array", Some(InputType::Array)),
    ("object", Some(InputType::Object)),
    ("any", None),
];
