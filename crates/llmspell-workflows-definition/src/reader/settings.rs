//! Reads the settings that any step can have, and their defaults by step type.

use std::sync::Arc;

use llmspell_workflows_basic::model::{Delay, OnError, Retry, Step, TriggerRule};

use super::{
    Fields, Reader,
    lists::{Siblings, StepNode},
};
use crate::{
    diagnose::At,
    dialect::{DEFAULTS, STEPS},
    kinds::{KINDS, kind},
    tree::{Data, Entry, Node, Span},
};

/// The default id of a compensation.
const UNDO: &str = "undo";

/// The default settings of a step type, with their spans.
#[derive(Debug, Clone, Default)]
pub(crate) struct DefaultSettings {
    retry: Option<(Retry, Span)>,
    timeout: Option<(Delay, Span)>,
    total_timeout: Option<(Delay, Span)>,
    on_error: Option<(OnError, Span)>,
    limits: Option<(Vec<String>, Span)>,
}

const RULES: &[(&str, TriggerRule)] = &[
    ("none_failed_min_one_success", TriggerRule::NoneFailedMinOneSuccess),
    ("all_success", TriggerRule::AllSuccess),
    ("all_done", TriggerRule::AllDone),
    ("one_success", TriggerRule::OneSuccess),
    ("always", TriggerRule::Always),
];

impl Reader<'_> {
    /// Reads the settings of a step, except its id, name, condition and kind.
    pub(crate) fn settings(&mut self, step: &mut Step, fields: &Fields<'_, '_>, kind: &str) {
        step.dependencies = self.texts(fields, "dependencies");
        step.trigger_rule = self.word(fields, "trigger_rule", RULES).unwrap_or_default();
        step.retry = self.retry(fields);
        step.timeout = self.delay(fields, "timeout");
        step.total_timeout = self.delay(fields, "total_timeout");
        step.limits = self.texts(fields, "limits");
        let own_on_error = fields.has("on_error") && (kind != "loop" || fields.has("on_iteration_error"));
        if let Some(entry) = fields.get("on_error").filter(|entry| own_on_error || is_steps(&entry.value)) {
            step.on_error = self.on_error(fields.at, entry);
        }
        step.at_most_once = self.boolean(fields, "at_most_once").unwrap_or_default();
        step.compensate = fields.get("compensate").and_then(|entry| self.compensation(fields.at, entry)).map(Arc::new);
        let Some(defaults) = self.defaults.get(kind).cloned() else { return };
        self.apply_default(fields, "retries", "retry", &mut step.retry, defaults.retry);
        self.apply_default(fields, "timeout", "timeout", &mut step.timeout, defaults.timeout);
        self.apply_default(fields, "total_timeout", "total_timeout", &mut step.total_timeout, defaults.total_timeout);
        if let Some((limits, span)) = defaults.limits.filter(|_| !fields.has("limits")) {
            (0..limits.len()).for_each(|index| self.mark(fields.at, format!("limits/{index}"), span));
            step.limits = limits;
        }
        if let Some((on_error, span)) = defaults.on_error.filter(|_| !fields.has("on_error")) {
            self.mark(fields.at, "on_error", span);
            step.on_error = on_error;
        }
    }

    fn apply_default<T>(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        word: &'static str,
        own: &mut Option<T>,
        default: Option<(T, Span)>,
    ) {
        if let Some((value, span)) = default.filter(|_| !fields.has(name)) {
            self.mark(fields.at, word, span);
            *own = Some(value);
        }
    }

    /// Reads the compensation of a step; its id is optional.
    fn compensation(&mut self, at: At, entry: &Entry<'_>) -> Option<Step> {
        self.mark(at, "compensate", entry.value.span);
        let key = entry.value.get("id").is_none().then_some((UNDO, entry.key_span));
        let item = || StepNode { key, node: &entry.value };
        let parent = self.positions.path(at).to_string();
        let mut siblings = Siblings::new(vec![item()]);
        self.step_as(Some("$undo"), item(), &parent, at, &[], &mut siblings).map(|read| read.step)
    }

    /// Reads `on_error`, which is a word or steps.
    fn on_error(&mut self, at: At, entry: &Entry<'_>) -> OnError {
        self.mark(at, "on_error", entry.value.span);
        if is_steps(&entry.value) {
            let path = format!("{}/$on_error", self.positions.path(at));
            let steps = match &entry.value.data {
                Data::List(_) => Some(entry),
                _ => {
                    let fields = self.fields(&entry.value, &[STEPS], &[], format!("`{}`", entry.key), at);
                    fields.and_then(|fields| fields.get("steps"))
                }
            };
            return steps
                .map_or(OnError::Fail, |steps| OnError::Steps(self.steps(&steps.key, &steps.value, &path, at)));
        }
        match self.word_of(at, &entry.key, &entry.value, &[("fail", false), ("continue", true)]) {
            Some(true) => OnError::Continue,
            _ => OnError::Fail,
        }
    }

    /// Reads the `defaults` of a definition.
    pub(crate) fn read_defaults(&mut self, node: &Node<'_>) {
        if !matches!(node.data, Data::Map(_)) {
            return self.wrong_type(At::ROOT, "defaults", node, "a mapping of step types to settings");
        }
        for entry in node.entries() {
            let name = match kind(&entry.key) {
                Some(kind) => {
                    self.rename_kind(&entry.key, kind.name, entry.key_span);
                    kind.name.to_owned()
                }
                None if self.types.get(&entry.key).is_some() => entry.key.as_ref().to_owned(),
                None => {
                    let names = KINDS.iter().map(|kind| kind.name).chain(self.types.names());
                    let help = self.suggest(&entry.key, names);
                    let message = format!("`{}` is not a step type", entry.key);
                    self.error("unknown_step_type", At::ROOT, entry.key_span, message).help = help;
                    continue;
                }
            };
            let what = format!("the defaults of `{}`", entry.key);
            if let Some(fields) = self.fields(&entry.value, &[DEFAULTS], &[], what, At::ROOT) {
                if self.defaults.contains_key(&name) {
                    let message = format!("duplicate defaults for `{name}`");
                    self.error("duplicate_field", At::ROOT, entry.key_span, message).help("keep one of the two");
                }
                let settings = self.default_settings(&fields);
                self.defaults.insert(name, settings);
            }
        }
    }

    fn default_settings(&mut self, fields: &Fields<'_, '_>) -> DefaultSettings {
        let span = |name: &str| fields.get(name).map_or(fields.head, |entry| entry.value.span);
        let word = self.word(fields, "on_error", &[("fail", false), ("continue", true)]);
        let on_error = word.map(|continues| if continues { OnError::Continue } else { OnError::Fail });
        DefaultSettings {
            retry: self.retry(fields).map(|retry| (retry, span("retries"))),
            timeout: self.delay(fields, "timeout").map(|delay| (delay, span("timeout"))),
            total_timeout: self.delay(fields, "total_timeout").map(|delay| (delay, span("total_timeout"))),
            on_error: on_error.map(|on_error| (on_error, span("on_error"))),
            limits: fields.has("limits").then(|| (self.texts(fields, "limits"), span("limits"))),
        }
    }
}

/// Returns whether the value of `on_error` contains steps rather than a word.
fn is_steps(node: &Node<'_>) -> bool {
    matches!(node.data, Data::Map(_) | Data::List(_))
}
