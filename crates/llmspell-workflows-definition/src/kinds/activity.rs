use llmspell_workflows_basic::{
    Severity,
    model::{ActivityCall, ActivityName, StepKind},
};
use serde_json::Value;

use super::{Kind, PARAMS, kind};
use crate::{
    dialect::{Shape, field},
    print::Fields as Printed,
    reader::{Fields, Reader, Scope},
};

pub(super) const TOOL: Kind = Kind::new("tool", "Calls a tool.", read, &[
        field("tool", Shape::Text, "The tool's name.").required(),
        PARAMS,
    ])
    .told_by(&["tool"]).with_activity_in("tool");

pub(super) const AGENT: Kind = Kind::new("agent", "Asks an agent.", read, &[
        field("agent", Shape::Text, "The agent's name.").required(),
        PARAMS,
    ])
    .told_by(&["agent"]).with_activity_in("agent");

pub(super) const PERSONA: Kind = Kind::new("persona-request", "Sends a request to a persona.", read, &[
        field("persona", Shape::Text, "The persona's name.").required(),
        PARAMS,
    ])
    .told_by(&["persona"]).with_activity_in("persona");

pub(super) const FUNCTION: Kind = Kind::new("function", "Calls a registered function.", read, &[
        field("function", Shape::Text, "The function's name.").required(),
        PARAMS,
    ])
    .told_by(&["function"]).with_activity_in("function");

/// An activity named by a field of the step.
fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let field = kind.activity_field?;
    let name = reader.text(fields, field)?;
    reader.mark_as(fields, field, "activity");
    if field == "persona" {
        reader.check_persona(&name, fields);
    }
    let params = reader.json(fields, "params", "params").unwrap_or_default();
    Some(call(kind.name, name, params))
}

/// A step that calls the activity `name` of `kind`.
pub(crate) fn call(kind: &str, name: String, params: Value) -> StepKind {
    StepKind::Activity(ActivityCall { activity: ActivityName::new(kind, name), params })
}

impl Reader<'_> {
    fn check_persona(&mut self, name: &str, fields: &Fields<'_, '_>) {
        let Some(personas) = &self.personas else { return };
        if personas.iter().any(|persona| persona == name) || name.contains("{{") || name.contains("${") {
            return;
        }
        let help = self.suggest(name, personas.iter().map(String::as_str));
        let span = fields.get("persona").map_or(fields.head, |entry| entry.value.span);
        let finding = self.error("unknown_persona", fields.at, span, format!("`{name}` is not one of the `personas`"));
        finding.severity = Severity::Warning;
        finding.help = help;
    }
}

pub(super) fn print(call: &ActivityCall, out: &mut Printed) {
    let ActivityName { kind: name, name: activity } = &call.activity;
    if !activity.is_empty() {
        out.put(kind(name).and_then(|kind| kind.activity_field).unwrap_or("activity"), activity);
    }
    if !call.params.is_null() {
        out.put("params", &call.params);
    }
}
