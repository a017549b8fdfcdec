use llmspell_workflows_basic::{
    Severity,
    model::{ActivityCall, ActivityName, StepKind},
};
use serde_json::Value;

use super::{Kind, PARAMS, kind};
use crate::{
    dialect::{Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
};

pub(super) const TOOL: Kind =
    Kind::new("tool", "Calls a tool.", read, &[field("tool", Shape::Text, "The name of the tool.").required(), PARAMS])
        .inferred_from(&["tool"])
        .with_activity_in("tool");

pub(super) const AGENT: Kind = Kind::new(
    "agent",
    "Calls an agent.",
    read,
    &[field("agent", Shape::Text, "The name of the agent.").required(), PARAMS],
)
.inferred_from(&["agent"])
.with_activity_in("agent");

pub(super) const PERSONA: Kind = Kind::new(
    "persona-request",
    "Sends a request to a persona.",
    read,
    &[field("persona", Shape::Text, "The name of the persona.").required(), PARAMS],
)
.inferred_from(&["persona"])
.with_activity_in("persona");

pub(super) const FUNCTION: Kind = Kind::new(
    "function",
    "Calls a registered function.",
    read,
    &[field("function", Shape::Text, "The name of the function.").required(), PARAMS],
)
.inferred_from(&["function"])
.with_activity_in("function");

/// Reads an activity whose name is in a field of the step.
fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
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

/// Returns the kind of a step that calls the activity `name` of `kind`.
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
        let message = format!("persona `{name}` is not declared in `personas`");
        let finding = self.error("unknown_persona", fields.at, span, message);
        finding.severity = Severity::Warning;
        finding.help = help;
    }
}

pub(super) fn print(call: &ActivityCall, out: &mut YamlMap) {
    let ActivityName { kind: name, name: activity } = &call.activity;
    if !activity.is_empty() {
        out.put(kind(name).and_then(|kind| kind.activity_field).unwrap_or("activity"), activity);
    }
    if !call.params.is_null() {
        out.put("params", &call.params);
    }
}
