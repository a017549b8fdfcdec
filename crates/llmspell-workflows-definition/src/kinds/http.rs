use llmspell_workflows_basic::model::StepKind;
use serde_json::Value;

use super::{Kind, PARAM_OBJECT, activity::call};
use crate::{
    dialect::{Shape, field},
    reader::{Fields, Reader, Siblings},
};

pub(super) const HTTP: Kind = Kind::new(
    "http",
    "Sends an HTTP request with the tool http_requester.",
    read,
    &[
        field("url", Shape::Text, "The URL of the request.").or(&["input"]).elsewhere(&["endpoint", "uri"]),
        field(
            "query",
            Shape::NonNull,
            "Fields that are encoded and added to the URL's query; a list repeats its field, null omits the field.",
        ),
        field("method", Shape::Text, "The HTTP method."),
        field("headers", Shape::NonNull, "The request headers."),
        field("body", Shape::Any, "The request body.").elsewhere(&["data", "json", "payload"]),
        field("auth", Shape::NonNull, "The credentials: {type: basic, username, password} or {type: bearer, token}."),
        PARAM_OBJECT,
    ],
)
.inferred_from(&["url"]);

fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let mut params = reader.merged(fields, kind.fields)?;
    if !params.contains_key("input")
        && let Some(url) = params.remove("url")
    {
        params.insert("input".to_owned(), url);
        let within = || fields.get("params").and_then(|entry| entry.value.get("url"));
        if let Some(node) = fields.get("url").map(|entry| &entry.value).or_else(within) {
            reader.mark_all(fields.at, "params/input".into(), node);
        }
    }
    if !params.contains_key("input") && !fields.is_meant("url") {
        reader
            .error("missing_field", fields.at, fields.head, "missing field `url` in an `http` step")
            .help("add `url`, the URL of the request");
    }
    reader.mark(fields.at, "activity", fields.head);
    Some(call("tool", "http_requester".to_owned(), Value::Object(params)))
}
