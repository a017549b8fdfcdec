//! Steps that run a list again and again.

use llmspell_workflows_basic::model::{IterationErrors, IterationMode, Loop, Over, StepKind};
use serde_json::Value;

use super::{Fields, Reader};
use crate::{
    diagnose::At,
    dialect::RANGE,
    tree::{Data, Entry},
};

const MODES: &[(&str, IterationMode)] =
    &[("sequential", IterationMode::Sequential), ("parallel", IterationMode::Parallel)];

const ERRORS: &[(&str, IterationErrors)] =
    &[("stop", IterationErrors::Stop), ("continue", IterationErrors::Continue), ("collect", IterationErrors::Collect)];

impl Reader<'_> {
    pub(super) fn repeat(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let over = self.over(fields);
        let entry = fields.get("steps")?;
        let parent = self.positions.path(fields.at).to_owned();
        self.mark(fields.at, "steps", entry.value.span);
        let steps = self.steps(&entry.value, &parent, fields.at);
        let mode = self.word(fields, "mode", MODES).unwrap_or_default();
        let max_parallelism = self.count(fields, "max_parallelism", 1);
        let max_iterations = self.count(fields, "max_iterations", 1);
        let until = self.expression(fields, "until");
        let on_error = self.iteration_errors(fields);
        Some(StepKind::Loop(Loop { over: over?, steps, mode, max_parallelism, max_iterations, until, on_error }))
    }

    fn over(&mut self, fields: &Fields<'_, '_>) -> Option<Over> {
        let given: Vec<_> = ["items", "range", "while"].iter().filter_map(|name| fields.get(name)).collect();
        match given.as_slice() {
            [] => {
                self.error("missing_field", fields.at, fields.head, "a `loop` step lacks what it runs over")
                    .help("add `items`, `range` or `while`");
                return None;
            }
            [_] => {}
            [first, second, ..] => {
                let message = format!("a loop runs over `{}` or `{}`, not over both", first.key, second.key);
                self.error("conflicting_fields", fields.at, second.key_span, message).help("keep one of the two");
            }
        }
        if let Some(entry) = fields.get("items") {
            return self.items(entry, fields.at).map(Over::Items);
        }
        if let Some(entry) = fields.get("range") {
            return self.range(entry, fields.at);
        }
        self.expression_as(fields, "while", "over/while").map(Over::While)
    }

    fn items(&mut self, entry: &Entry<'_>, at: At) -> Option<Value> {
        if !matches!(entry.value.data, Data::List(_) | Data::Text(_)) {
            self.wrong_type(at, &entry.key, &entry.value, "a list, or a reference to one");
            return None;
        }
        self.mark_all(at, "over/items".into(), &entry.value);
        Some(entry.value.to_json())
    }

    fn range(&mut self, entry: &Entry<'_>, at: At) -> Option<Over> {
        self.mark(at, "over/range", entry.value.span);
        let fields = self.fields(&entry.value, &[RANGE], &[], "`range`", at)?;
        let mut number = |name: &'static str, default: Option<i64>| match fields.get(name) {
            None => default.map(Value::from),
            Some(entry) if matches!(entry.value.data, Data::Number(_) | Data::Text(_)) => {
                self.mark_all(at, format!("over/range/{name}").into(), &entry.value);
                Some(entry.value.to_json())
            }
            Some(entry) => {
                self.wrong_type(at, &entry.key, &entry.value, "a number, or a reference to one");
                None
            }
        };
        let (start, end, step) = (number("start", Some(0)), number("end", None), number("step", Some(1)));
        Some(Over::Range { start: start?, end: end?, step: step? })
    }

    /// What a failed iteration does. `on_error` says it, unless it says what the failure of the whole loop does.
    fn iteration_errors(&mut self, fields: &Fields<'_, '_>) -> IterationErrors {
        if fields.has("on_iteration_error") {
            return self.word(fields, "on_iteration_error", ERRORS).unwrap_or_default();
        }
        let is_word = |entry: &Entry<'_>| !matches!(entry.value.data, Data::Map(_) | Data::List(_));
        match fields.get("on_error").filter(|entry| is_word(entry)) {
            // As on any other step, where it is the default.
            Some(entry) if entry.value.as_text() == Some("fail") => IterationErrors::Stop,
            Some(_) => self.word(fields, "on_error", ERRORS).unwrap_or_default(),
            None => IterationErrors::default(),
        }
    }
}
