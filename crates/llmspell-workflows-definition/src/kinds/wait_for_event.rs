use llmspell_workflows_basic::model::{OnTimeout, StepKind, WaitForEvent};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::Fields as Printed,
    reader::{Fields, Reader, Scope},
};

pub(super) const WAIT_FOR_EVENT: Kind = Kind::new("wait_for_event", "Waits for an event from outside, such as `spellflow signal`.", read, &[
        field("event", Shape::Text, "Its name; may hold references.").required(),
        field("filter", Shape::Expression, "Only an event, as `event`, for which this is true; others are left for other steps."),
        field("on_timeout", Shape::Word(&["fail", "continue"]), "What becomes of the step when none comes within its `timeout`."),
    ])
    .or(&["wait_for"])
    .told_by(&["event"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let ends = [("fail", OnTimeout::Fail), ("continue", OnTimeout::Continue)];
    Some(StepKind::WaitForEvent(WaitForEvent {
        event: reader.text(fields, "event")?,
        filter: reader.expression(fields, "filter"),
        on_timeout: reader.word(fields, "on_timeout", &ends).unwrap_or_default(),
    }))
}

pub(super) fn print(wait: &WaitForEvent, out: &mut Printed) {
    out.put("event", &wait.event);
    out.put_some("filter", wait.filter.as_deref());
    if wait.on_timeout == OnTimeout::Continue {
        out.put("on_timeout", "continue");
    }
}
