//! The tables of the reference, in Markdown.

use super::defaults;
use crate::{
    dialect::{COMMON, COUNT_MAX, DEFAULTS, Field, ROOT, Shape},
    kinds::{KINDS, Kind},
};

/// Returns a sentence that lists a step type's name, its aliases, and the fields that imply it.
pub(super) fn notation(kind: &Kind) -> String {
    let quoted = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let mut text = format!("`type: {}`", kind.name);
    if !kind.aliases.is_empty() {
        text += &format!(", also {}", quoted(kind.aliases));
    }
    match kind.markers {
        [] => text += ", which is required.\n",
        markers if kind.is_fallback => {
            text += &format!(
                "; optional if the step has {} and no field that implies another type.\n",
                alternatives(markers)
            );
        }
        markers => text += &format!("; optional if the step has {}.\n", alternatives(markers)),
    }
    text
}

fn alternatives(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.join(""),
    }
}

/// Returns the table of the fields in `table`; `name` identifies their defaults.
pub(super) fn fields(name: &str, table: &[Field]) -> String {
    let mut text = "| field | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for field in table.iter().filter(|field| field.shape != Shape::Missing) {
        let mut names = format!("`{}`", field.name);
        for alias in field.aliases {
            names += &format!(", `{alias}`");
        }
        let default = match (field.required, defaults::shown(name, field.name)) {
            (true, None) => "required".to_owned(),
            (false, default) => default.unwrap_or_default(),
            (true, Some(default)) => panic!("`{}` of `{name}` is required, but has the default {default}", field.name),
        };
        text += &format!("| {names} | {} | {default} | {} |\n", value(field.shape), field.doc);
    }
    text
}

/// Returns the table of all step types.
pub(super) fn types<'k>(kinds: impl Iterator<Item = &'k Kind>) -> String {
    let mut text = "| step type | what it does | implied by |\n|---|---|---|\n".to_owned();
    for kind in kinds {
        let markers = kind.markers.iter().map(|marker| format!("`{marker}`")).collect::<Vec<_>>().join(", ");
        text += &format!("| [`{0}`]({0}.md) | {1} | {markers} |\n", kind.name, kind.doc);
    }
    text
}

/// Returns the table of the features that this version does not support.
pub(super) fn unsupported() -> String {
    let mut text = "| not supported | instead |\n|---|---|\n".to_owned();
    for kind in KINDS.iter().filter(|kind| kind.read.is_none()) {
        text += &format!("| `type: {}` | {} |\n", kind.name, kind.doc);
    }
    for (place, table) in [("a step", COMMON), ("`defaults`", DEFAULTS), ("a definition", ROOT)] {
        for field in table.iter().filter(|field| field.shape == Shape::Missing) {
            text += &format!("| `{}` in {place} | {} |\n", field.name, field.doc);
        }
    }
    text
}

/// Returns the name of a shape.
fn value(shape: Shape) -> String {
    let text = match shape {
        Shape::Word(words) => return alternatives(words),
        Shape::Count(least, u64::MAX | COUNT_MAX) => return format!("integer, at least {least}"),
        Shape::Count(least, most) => return format!("integer from {least} to {most}"),
        Shape::Missing => "",
        Shape::Text => "string",
        Shape::Version => "string or number",
        Shape::Texts => "string or list of strings",
        Shape::Expression => "condition",
        Shape::Expressions => "condition or list of conditions",
        Shape::Delay => "duration or template",
        Shape::Duration => "duration",
        Shape::Number => "number, at least 0",
        Shape::Bool => "boolean",
        Shape::Any => "any value",
        Shape::NonNull => "any value except null",
        Shape::Object => "mapping",
        Shape::Items => "list or template",
        Shape::NumberOrText => "number or template",
        Shape::Steps => "list of steps",
        Shape::StepsById => "list of steps, or mapping of ids to steps",
        Shape::Block => "list of steps and of ids of steps in the same list",
        Shape::Members => "list of steps, or mapping of names to branches",
        Shape::Branches => "mapping of names to branches",
        Shape::Body => "step without an id",
        Shape::Undo => "step",
        Shape::Workflows => "mapping of names to definitions",
        Shape::Migrations => "mapping of versions to migrations",
        Shape::Names => "mapping of names to names",
        Shape::Retry => "integer or retry policy",
        Shape::Jitter => "boolean, or number from 0 to 1",
        Shape::StatusCodes | Shape::ExitCodes => "list of integers",
        Shape::OnError => "`fail`, `continue` or steps",
        Shape::LoopOnError => "`stop`, `continue`, `collect`, `fail` or steps",
        Shape::RootOnError => "steps",
        Shape::Next => "string or list of transitions",
        Shape::Cases => "list of cases",
        Shape::Range => "range",
        Shape::Target => "string or null",
        Shape::Aggregation => "`all`, `first`, `majority`, `partial:N`, or a function",
        Shape::OnConflict => "`error`, `first`, `last`, `merge`, `append`, `sum`, or a function",
        Shape::Validator => "string or mapping",
        Shape::Inputs => "mapping of names to inputs",
        Shape::Environments => "mapping of environments to variables",
        Shape::Conditions => "mapping of names to conditions",
        Shape::Counts => "mapping of names to integers",
        Shape::Trigger => "condition or mapping",
        Shape::Timeouts => "mapping",
        Shape::Defaults => "mapping of step types to settings",
        Shape::Personas => "list of names, or mapping of names to descriptions",
        Shape::RootEnv => "list of names, or mapping of names to values",
        Shape::Env => "mapping of names to values",
    };
    text.to_owned()
}
