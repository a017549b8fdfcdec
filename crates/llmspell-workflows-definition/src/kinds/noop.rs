use llmspell_workflows_basic::model::StepKind;

use super::Kind;
use crate::{
    print::Fields as Printed,
    reader::{Fields, Reader, Scope},
};

pub(super) const NOOP: Kind =
    Kind::new("noop", "Does nothing: a place for a condition, a dependency or a hook.", read, &[]);

fn read(
    _: &mut Reader<'_>,
    _: &'static Kind,
    _: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    Some(StepKind::Noop)
}

/// It has no fields of its own.
pub(super) fn print(_: &mut Printed) {}
