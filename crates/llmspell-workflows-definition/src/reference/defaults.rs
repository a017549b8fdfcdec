//! The defaults of fields, each checked with the reader.

use llmspell_workflows_basic::{Limits, model::Definition};
use serde_json::{Value, json};

use super::TABLES;
use crate::{
    StepTypes,
    kinds::{KINDS, kind},
    read,
};

/// The default of a field.
enum Default {
    /// Omitting the field has the same effect as this value, in JSON.
    Value(&'static str),
    /// The default is computed and has this description.
    Described(&'static str),
    /// The engine's limit with this name applies.
    Limit(&'static str),
}

use Default::{Described, Limit, Value as Is};

/// The defaults by table, which is a step type or the name of another table, and by field.
const ALL: &[(&str, &str, Default)] = &[
    ("common", "id", Described("derived from `name`")),
    ("common", "type", Described("implied by other fields")),
    ("common", "trigger_rule", Is("\"none_failed_min_one_success\"")),
    ("common", "retries", Described("none")),
    ("common", "on_error", Is("\"fail\"")),
    ("common", "at_most_once", Is("false")),
    ("branch", "required", Is("false")),
    ("definition", "max_transitions", Limit("transitions_max")),
    ("definition", "durability", Is("\"sync\"")),
    ("definition", "outputs", Described("the output of the last step")),
    ("definition", "start_step", Described("the first step")),
    ("input", "type", Is("\"any\"")),
    ("input", "required", Is("false")),
    ("retry", "strategy", Is("\"exponential\"")),
    ("retry", "max_attempts", Is("3")),
    ("retry", "initial_delay", Is("\"1s\"")),
    ("retry", "max_delay", Is("\"60s\"")),
    ("retry", "multiplier", Is("2")),
    ("retry", "jitter", Is("0.1")),
    ("range", "start", Is("0")),
    ("range", "step", Is("1")),
    ("tool", "params", Is("null")),
    ("agent", "params", Is("null")),
    ("persona-request", "params", Is("null")),
    ("function", "params", Is("null")),
    ("shell", "cwd", Described("the folder where `spellflow` was started")),
    ("shell", "stdin", Described("empty")),
    ("shell", "allow_failure", Described("`false`")),
    ("shell", "unsafe_shell", Described("`false`")),
    ("http", "method", Described("`GET`")),
    ("route", "start_step", Described("the first step")),
    ("route", "max_transitions", Limit("transitions_max")),
    ("loop", "mode", Is("\"sequential\"")),
    ("loop", "max_parallelism", Limit("parallelism_max")),
    ("loop", "max_iterations", Described("all; more than `loop_iterations_max` are an error")),
    ("loop", "on_error", Is("\"stop\"")),
    ("loop", "on_iteration_error", Is("\"stop\"")),
    ("loop", "on_conflict", Is("\"error\"")),
    ("parallel", "wait_for", Is("\"all\"")),
    ("parallel", "max_parallelism", Limit("parallelism_max")),
    ("parallel", "error_mode", Is("\"fail_slow\"")),
    ("parallel", "aggregation", Is("\"all\"")),
    ("parallel", "on_conflict", Is("\"error\"")),
    ("parallel", "output", Is("\"values\"")),
    ("fork-join", "join_policy", Is("\"all\"")),
    ("fork-join", "max_parallelism", Limit("parallelism_max")),
    ("fork-join", "error_mode", Is("\"fail_slow\"")),
    ("fork-join", "on_conflict", Is("\"error\"")),
    ("wait_for_event", "on_timeout", Is("\"fail\"")),
    ("validate", "mode", Is("\"strict\"")),
    ("workflow", "version", Described("any")),
    ("workflow", "input", Is("null")),
];

/// Returns the default of `field` in `table`, as the reference shows it.
pub(super) fn shown(table: &str, field: &str) -> Option<String> {
    let (.., default) = ALL.iter().find(|(of, name, _)| *of == table && *name == field)?;
    Some(match default {
        Is(value) => format!("`{}`", value.trim_matches('"')),
        Described(text) => (*text).to_owned(),
        Limit(name) => {
            let limits = Limits::default().table();
            let (_, value, _) = limits.iter().find(|(known, ..)| known == name).expect("the limit exists");
            format!("{value} (`{name}`)")
        }
    })
}

/// Returns a definition that has `fields` in the table `name`.
fn document(name: &str, fields: &Value) -> Value {
    let tool = json!({"id": "a", "tool": "t"});
    let step = |step: Value| json!({"name": "x", "steps": [step]});
    match name {
        "definition" => with(json!({"name": "x", "steps": [tool]}), fields),
        "common" => step(with(tool, fields)),
        "branch" => step(json!({"id": "p", "type": "parallel", "steps": [with(tool, fields)]})),
        "retry" => step(with(tool, &json!({"retries": fields}))),
        "range" => step(json!({"id": "l", "type": "loop", "range": with(json!({"end": 9}), fields), "steps": [tool]})),
        "input" => json!({"name": "x", "inputs": {"i": fields}, "steps": [tool]}),
        kind => step(with(minimal(kind), fields)),
    }
}

fn with(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

/// Returns a step of the type `kind` with only the fields that it needs.
fn minimal(kind: &str) -> Value {
    let inner = json!([{"id": "b", "tool": "t"}]);
    let fields = match kind {
        "fork-join" => json!({"branches": {"b": inner}}),
        "parallel" => json!({"steps": inner}),
        "loop" => json!({"items": [1], "steps": inner}),
        "validate" => json!({"data": 1, "assertions": "data == 1"}),
        "wait_for_event" => json!({"event": "e"}),
        name => json!({name.split('-').next().unwrap(): "t"}),
    };
    with(json!({"id": "a", "type": kind}), &fields)
}

fn definition(document: &Value) -> Definition {
    let text = document.to_string();
    read(&text, "x.json", &StepTypes::new()).unwrap_or_else(|problems| panic!("{text}\n{problems}")).definition
}

#[test]
fn omitting_a_field_has_the_same_effect_as_its_default() {
    for (table, field, default) in ALL {
        let Is(value) = default else { continue };
        let value: Value = serde_json::from_str(value).unwrap();
        let (omitted, given) = (document(table, &json!({})), document(table, &json!({*field: value})));
        assert_eq!(definition(&omitted), definition(&given), "`{field}` of `{table}`");
    }
}

#[test]
fn every_default_names_an_existing_field() {
    for (table, field, _) in ALL {
        let fields = match TABLES.iter().find(|(name, _)| name == table) {
            Some((_, fields)) => fields,
            None => kind(table).map(|kind| kind.fields).unwrap_or_default(),
        };
        assert!(fields.iter().any(|known| known.name == *field), "`{table}` has no field `{field}`");
    }
}

#[test]
fn optional_fields_with_fixed_words_have_a_default() {
    let kinds = KINDS.iter().map(|kind| (kind.name, kind.fields));
    for (table, fields) in TABLES.iter().copied().chain(kinds).filter(|(table, _)| *table != "defaults") {
        for field in fields.iter().filter(|field| matches!(field.shape, crate::dialect::Shape::Word(_))) {
            assert!(field.required || shown(table, field.name).is_some(), "`{}` of `{table}`", field.name);
        }
    }
}
