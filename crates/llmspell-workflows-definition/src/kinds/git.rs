use llmspell_workflows_basic::model::StepKind;
use serde_json::Value;

use super::{ENV, Kind, PARAM_OBJECT, activity::call};
use crate::{
    dialect::{Shape, field},
    reader::{Fields, Reader, Siblings},
};

pub(super) const GIT: Kind = Kind::new(
    "git-operation",
    "Runs a Git operation.",
    read,
    &[
        field("operation", Shape::Text, "The operation, such as commit, push or merge."),
        field("branch", Shape::Text, "The branch to use."),
        field("message", Shape::Text, "The commit message."),
        ENV,
        PARAM_OBJECT,
    ],
)
.or(&["git_operation"])
.inferred_from(&["operation"])
.with_activity_in("operation");

fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let mut params = reader.merged(fields, kind.fields)?;
    let operation = match params.remove("operation") {
        Some(Value::String(operation)) if !operation.is_empty() => operation,
        Some(_) => return None,
        None => {
            reader
                .error("missing_field", fields.at, fields.head, "missing field `operation` in a `git-operation` step")
                .help("add `operation`, such as `commit`, `push` or `merge`");
            return None;
        }
    };
    let span = reader.field_span(fields.at, "params/operation");
    reader.mark_text(fields.at, "activity", span, &operation);
    reader.add_env(&mut params);
    let is_given = !params.is_empty() || fields.get("params").is_some_and(|entry| entry.value.entries().is_empty());
    Some(call("git-operation", operation, if is_given { Value::Object(params) } else { Value::Null }))
}
