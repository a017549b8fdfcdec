use llmspell_workflows_basic::model::{IterationErrors, IterationMode, Loop, LoopSource, StepKind};
use serde_json::Value;

use super::Kind;
use crate::{
    diagnose::At,
    dialect::{RANGE, Shape, field},
    print::{Yaml, YamlMap, step},
    reader::{Fields, Reader, Siblings},
    tree::{Data, Entry},
};

pub(super) const LOOP: Kind = Kind::new(
    "loop",
    "Runs steps for each item or number, or while a condition is true.",
    read,
    &[
        field("items", Shape::Items, "A list or a reference to a list.").or(&["collection"]),
        field("range", Shape::Range, "The numbers to loop over: {start, end, step}."),
        field("while", Shape::Expression, "Repeats the loop while this is true."),
        field("steps", Shape::Steps, "The steps of each iteration.").or(&["loop_body", "body"]).required(),
        field(
            "mode",
            Shape::Word(&["sequential", "parallel"]),
            "Whether iterations run one after another or concurrently.",
        )
        .or(&["execution_mode"]),
        super::parallel::MAX_PARALLELISM,
        super::parallel::ON_CONFLICT,
        field(
            "max_iterations",
            Shape::Count(1, u64::MAX),
            "The maximum number of iterations; further iterations do not run.",
        ),
        field("until", Shape::Expression, "The loop ends after the first iteration for which this is true.")
            .or(&["break_condition"]),
        field("on_error", Shape::LoopOnError, "What happens if an iteration fails: stop, continue or collect."),
        field(
            "on_iteration_error",
            Shape::Word(&["stop", "continue", "collect"]),
            "What happens if an iteration fails, when `on_error` applies to the whole loop.",
        ),
    ],
)
.or(&["foreach"])
.inferred_from(&["items", "collection", "range", "while", "loop_body"]);

const MODES: &[(&str, IterationMode)] =
    &[("sequential", IterationMode::Sequential), ("parallel", IterationMode::Parallel)];

const ERRORS: &[(&str, IterationErrors)] =
    &[("stop", IterationErrors::Stop), ("continue", IterationErrors::Continue), ("collect", IterationErrors::Collect)];

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let over = reader.over(fields);
    let entry = fields.get("steps")?;
    let parent = reader.positions.path(fields.at).to_owned();
    reader.mark(fields.at, "steps", entry.value.span);
    let steps = reader.steps(&entry.key, &entry.value, &parent, fields.at);
    let mode = reader.word(fields, "mode", MODES).unwrap_or_default();
    let max_parallelism = reader.count(fields, "max_parallelism", 1);
    let max_iterations = reader.count(fields, "max_iterations", 1);
    let until = reader.expression(fields, "until");
    let (on_error, on_conflict) = (reader.iteration_errors(fields), reader.on_conflict(fields));
    let over = over?;
    Some(StepKind::Loop(Loop { over, steps, mode, max_parallelism, max_iterations, until, on_error, on_conflict }))
}

impl Reader<'_> {
    fn over(&mut self, fields: &Fields<'_, '_>) -> Option<LoopSource> {
        let given: Vec<_> = ["items", "range", "while"].iter().filter_map(|name| fields.get(name)).collect();
        match given.as_slice() {
            [] => {
                let message = "missing field `items`, `range` or `while` in a `loop` step";
                self.error("missing_field", fields.at, fields.head, message).help("add one of them");
                return None;
            }
            [_] => {}
            [first, second, ..] => {
                let message = format!("`{}` and `{}` are mutually exclusive", first.key, second.key);
                self.error("conflicting_fields", fields.at, second.key_span, message).help("keep one of the two");
            }
        }
        if let Some(entry) = fields.get("items") {
            return self.items(entry, fields.at).map(LoopSource::Items);
        }
        if let Some(entry) = fields.get("range") {
            return self.range(entry, fields.at);
        }
        self.expression_as(fields, "while", "over/while").map(LoopSource::While)
    }

    fn items(&mut self, entry: &Entry<'_>, at: At) -> Option<Value> {
        if !matches!(entry.value.data, Data::List(_) | Data::Text(_)) {
            self.wrong_type(at, &entry.key, &entry.value, "a list, or a reference to one");
            return None;
        }
        self.mark_all(at, "over/items".into(), &entry.value);
        Some(entry.value.to_json())
    }

    fn range(&mut self, entry: &Entry<'_>, at: At) -> Option<LoopSource> {
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
        Some(LoopSource::Range { start: start?, end: end?, step: step? })
    }

    /// Reads how failed iterations are handled: from `on_iteration_error`, or from `on_error` if
    /// that field is not set.
    fn iteration_errors(&mut self, fields: &Fields<'_, '_>) -> IterationErrors {
        if fields.has("on_iteration_error") {
            return self.word(fields, "on_iteration_error", ERRORS).unwrap_or_default();
        }
        let is_word = |entry: &Entry<'_>| !matches!(entry.value.data, Data::Map(_) | Data::List(_));
        match fields.get("on_error").filter(|entry| is_word(entry)) {
            // On other steps, `fail` is the default of `on_error`, so a loop accepts it too.
            Some(entry) if entry.value.as_text() == Some("fail") => IterationErrors::Stop,
            Some(_) => self.word(fields, "on_error", ERRORS).unwrap_or_default(),
            None => IterationErrors::default(),
        }
    }
}

pub(super) fn print(block: &Loop, out: &mut YamlMap) {
    match &block.over {
        LoopSource::Items(items) => out.put("items", items),
        LoopSource::While(condition) => out.put("while", condition),
        LoopSource::Range { start, end, step } => {
            let mut range = YamlMap::default();
            range.put("start", start);
            range.put("end", end);
            range.put("step", step);
            out.put("range", range);
        }
    }
    if block.mode == IterationMode::Parallel {
        out.put("mode", "parallel");
    }
    out.put_some("max_parallelism", block.max_parallelism.map(|count| Yaml::Value(count.into())));
    super::parallel::print_on_conflict(&block.on_conflict, out);
    out.put_some("max_iterations", block.max_iterations.map(|count| Yaml::Value(count.into())));
    out.put_some("until", block.until.as_ref());
    out.put("steps", step::list(&block.steps));
}

/// Returns the dialect's word for how failed iterations are handled.
pub(crate) fn iteration_errors(errors: IterationErrors) -> &'static str {
    match errors {
        IterationErrors::Stop => "stop",
        IterationErrors::Continue => "continue",
        IterationErrors::Collect => "collect",
    }
}
