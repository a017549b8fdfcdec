use llmspell_workflows_basic::model::{Delay, StepKind};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::Fields as Printed,
    reader::{Fields, Reader, Scope},
};

pub(super) const SLEEP: Kind = Kind::new("sleep", "Waits.", read, &[field("duration", Shape::Delay, "How long.").required()]).told_by(&["duration", "duration_ms", "duration_seconds"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    reader.delay(fields, "duration").map(StepKind::Sleep)
}

pub(super) fn print(duration: &Delay, out: &mut Printed) {
    out.put("duration", duration.to_string());
}
