use llmspell_workflows_basic::model::StepKind;
use serde_json::{Map, Value};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
    tree::Data,
};

pub(super) const SET: Kind = Kind::new(
    "set",
    "Sets keys of the run's state, and returns them as its output.",
    read,
    &[field("params", Shape::Object, "The state keys and their values.")
        .or(&["with", "config", "parameters"])
        .required()],
);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let entry = fields.get("params")?;
    let Data::Map(entries) = &entry.value.data else {
        reader.wrong_type(fields.at, &entry.key, &entry.value, "a mapping of state keys to values");
        return None;
    };
    reader.mark(fields.at, "set", entry.value.span);
    for entry in entries {
        reader.mark_all(fields.at, format!("set/{}", entry.key).into(), &entry.value);
    }
    match entry.value.to_json() {
        Value::Object(values) => Some(StepKind::Set(values)),
        _ => None,
    }
}

pub(super) fn print(values: &Map<String, Value>, out: &mut YamlMap) {
    out.put("params", Value::Object(values.clone()));
}
