use llmspell_workflows_basic::model::{StepKind, Steps};

use super::{Kind, STEPS};
use crate::{
    print::{Fields as Printed, step},
    reader::{Fields, Reader, RouteSettings, Scope},
};

pub(super) const SEQUENCE: Kind = Kind::new("sequence", "Runs steps in order, or as a graph if any of them has dependencies.", read, &[STEPS]).told_by(&["steps"]).yielding();

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    reader.block_body(fields, RouteSettings::default())
}

pub(super) fn print(steps: &Steps, out: &mut Printed) {
    out.put("steps", step::list(steps));
}
