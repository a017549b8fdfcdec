use llmspell_workflows_basic::model::{OnTimeout, StepKind, WaitForEvent};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
};

pub(super) const WAIT_FOR_EVENT: Kind = Kind::new(
    "wait_for_event",
    "Waits for an external signal, such as one from `spellflow signal`.",
    read,
    &[
        field("event", Shape::Text, "The name of the signal; may contain references.").required(),
        field(
            "filter",
            Shape::Expression,
            "Accepts only signals for which this is true, with the signal as `event`; other signals are left for other steps.",
        ),
        field(
            "on_timeout",
            Shape::Word(&["fail", "continue"]),
            "What happens if no signal arrives within the `timeout` of the step.",
        ),
    ],
)
.or(&["wait_for"])
.inferred_from(&["event"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let ends = [("fail", OnTimeout::Fail), ("continue", OnTimeout::Continue)];
    Some(StepKind::WaitForEvent(WaitForEvent {
        event: reader.text(fields, "event")?,
        filter: reader.expression(fields, "filter"),
        on_timeout: reader.word(fields, "on_timeout", &ends).unwrap_or_default(),
    }))
}

pub(super) fn print(wait: &WaitForEvent, out: &mut YamlMap) {
    out.put("event", &wait.event);
    out.put_some("filter", wait.filter.as_deref());
    if wait.on_timeout == OnTimeout::Continue {
        out.put("on_timeout", "continue");
    }
}
