use llmspell_workflows_basic::model::{StepKind, SubWorkflow};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
    tree::Data,
};

pub(super) const WORKFLOW: Kind = Kind::new(
    "workflow",
    "Runs another workflow as a child run.",
    read,
    &[
        field("workflow", Shape::Text, "A name under `workflows`, or a file path relative to this file.").required(),
        field("version", Shape::Version, "The version that the workflow must have."),
        field("input", Shape::Any, "The input of the workflow; strings may contain references.").or(&[
            "params",
            "with",
            "input_mapping",
        ]),
    ],
)
.or(&["sub_workflow", "sub-workflow"])
.inferred_from(&["workflow"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let version = fields.get("version").map(|entry| match &entry.value.data {
        Data::Number(_) => Some(entry.value.span.slice(reader.source.text()).to_owned()),
        _ => reader.text_of(fields.at, &entry.key, &entry.value),
    });
    Some(StepKind::Workflow(SubWorkflow {
        workflow: reader.text(fields, "workflow")?,
        version: version.flatten(),
        input: reader.json(fields, "input", "input").unwrap_or_default(),
    }))
}

pub(super) fn print(sub: &SubWorkflow, out: &mut YamlMap) {
    out.put("workflow", &sub.workflow);
    out.put_some("version", sub.version.as_deref());
    if !sub.input.is_null() {
        out.put("input", &sub.input);
    }
}
