use llmspell_workflows_basic::model::{StepKind, Steps};

use super::{Kind, STEPS};
use crate::{
    print::{YamlMap, step},
    reader::{Fields, Reader, RouteSettings, Siblings},
};

pub(super) const SEQUENCE: Kind =
    Kind::new("sequence", "Runs steps in order, or as a graph if any of them has dependencies.", read, &[STEPS])
        .inferred_from(&["steps"])
        .fallback();

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    reader.block_body(fields, RouteSettings::default())
}

pub(super) fn print(steps: &Steps, out: &mut YamlMap) {
    out.put("steps", step::list(steps));
}
