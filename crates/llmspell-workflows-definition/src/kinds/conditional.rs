use llmspell_workflows_basic::model::{Conditional, StepKind, Steps};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::{Fields as Printed, step},
    reader::{Fields, Reader, Scope},
};

pub(super) const CONDITIONAL: Kind = Kind::new("conditional", "Runs one of two lists of steps.", read, &[
        field("condition", Shape::Expression, "Chooses the list.").or(&["when", "if"]).required(),
        field("then_steps", Shape::Block, "Runs where the condition is true: steps, or ids of steps of the same list.").or(&["then"]),
        field("else_steps", Shape::Block, "Runs where the condition is false: steps, or ids of steps of the same list.").or(&["else"]),
        field("only_if", Shape::Expression, "The whole block is skipped where this is false."),
    ])
    .told_by(&["then_steps", "then", "else_steps", "else"]);

fn read<'n, 's>(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'n, 's>,
    scope: &mut Scope<'n, 's>,
    id: &str,
) -> Option<StepKind> {
    let condition = reader.expression(fields, "condition");
    let mut branch = |name: &'static str, word: &'static str| match fields.get(name) {
        Some(entry) => {
            reader.mark(fields.at, word, entry.value.span);
            reader.block(&entry.value, word, fields.at, scope, id)
        }
        None => Steps::new(),
    };
    let (then, otherwise) = (branch("then_steps", "then"), branch("else_steps", "else"));
    if !fields.has("then_steps") && !fields.has("else_steps") {
        reader.error("missing_field", fields.at, fields.head, "a `conditional` step lacks `then_steps`")
            .help("add `then_steps` or `else_steps`");
    }
    Some(StepKind::Conditional(Conditional { condition: condition?, then, otherwise }))
}

pub(super) fn print(block: &Conditional, out: &mut Printed) {
    out.put("condition", &block.condition);
    out.put("then_steps", step::list(&block.then));
    if !block.otherwise.is_empty() {
        out.put("else_steps", step::list(&block.otherwise));
    }
}
