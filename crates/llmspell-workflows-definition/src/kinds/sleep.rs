use llmspell_workflows_basic::model::{Delay, StepKind};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
};

pub(super) const SLEEP: Kind = Kind::new(
    "sleep",
    "Waits for a duration.",
    read,
    &[field("duration", Shape::Delay, "How long to wait.").required()],
)
.inferred_from(&["duration", "duration_ms", "duration_seconds"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    reader.delay(fields, "duration").map(StepKind::Sleep)
}

pub(super) fn print(duration: &Delay, out: &mut YamlMap) {
    out.put("duration", duration.to_string());
}
