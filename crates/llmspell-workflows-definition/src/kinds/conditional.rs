use llmspell_workflows_basic::model::{Conditional, StepKind, Steps};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::{YamlMap, step},
    reader::{Fields, Reader, Siblings},
};

pub(super) const CONDITIONAL: Kind = Kind::new(
    "conditional",
    "Runs one of two lists of steps.",
    read,
    &[
        field("condition", Shape::Expression, "Decides which list runs.").or(&["when", "if"]).required(),
        field("then_steps", Shape::Block, "Steps that run if the condition is true, or ids of steps in the same list.")
            .or(&["then"]),
        field(
            "else_steps",
            Shape::Block,
            "Steps that run if the condition is false, or ids of steps in the same list.",
        )
        .or(&["else"]),
        field("only_if", Shape::Expression, "The whole block is skipped if this is false."),
    ],
)
.inferred_from(&["then_steps", "then", "else_steps", "else"]);

fn read<'n, 's>(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'n, 's>,
    siblings: &mut Siblings<'n, 's>,
    id: &str,
) -> Option<StepKind> {
    let condition = reader.expression(fields, "condition");
    let mut branch = |name: &'static str, word: &'static str| match fields.get(name) {
        Some(entry) => {
            reader.mark(fields.at, word, entry.value.span);
            reader.block(&entry.value, word, fields.at, siblings, id)
        }
        None => Steps::new(),
    };
    let (then, otherwise) = (branch("then_steps", "then"), branch("else_steps", "else"));
    if !fields.has("then_steps") && !fields.has("else_steps") {
        let message = "missing field `then_steps` or `else_steps` in a `conditional` step";
        reader.error("missing_field", fields.at, fields.head, message).help("add at least one of them");
    }
    Some(StepKind::Conditional(Conditional { condition: condition?, then, otherwise }))
}

pub(super) fn print(block: &Conditional, out: &mut YamlMap) {
    out.put("condition", &block.condition);
    out.put("then_steps", step::list(&block.then));
    if !block.otherwise.is_empty() {
        out.put("else_steps", step::list(&block.otherwise));
    }
}
