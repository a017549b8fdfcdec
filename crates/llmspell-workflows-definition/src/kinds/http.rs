use llmspell_workflows_basic::model::StepKind;
use serde_json::Value;

use super::{Kind, PARAM_OBJECT, activity::call};
use crate::{
    dialect::{Shape, field},
    reader::{Fields, Reader, Scope},
};

pub(super) const HTTP: Kind = Kind::new("http", "Sends an HTTP request by the tool http_requester.", read, &[
        field("url", Shape::Text, "The address.").or(&["input"]),
        field("method", Shape::Text, "The method."),
        field("headers", Shape::Given, "The headers."),
        field("body", Shape::Any, "The body."),
        field("auth", Shape::Given, "How it authenticates."),
        PARAM_OBJECT,
    ])
    .told_by(&["url"]);

fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let mut params = reader.merged(fields, kind.fields)?;
    if !params.contains_key("input")
        && let Some(url) = params.remove("url")
    {
        params.insert("input".to_owned(), url);
        let span = reader.field_span(fields.at, "params/url");
        reader.mark(fields.at, "params/input", span);
    }
    if !params.contains_key("input") {
        reader.error("missing_field", fields.at, fields.head, "the step lacks `url`").help("add `url`, the address");
    }
    reader.mark(fields.at, "activity", fields.head);
    Some(call("tool", "http_requester".to_owned(), Value::Object(params)))
}
