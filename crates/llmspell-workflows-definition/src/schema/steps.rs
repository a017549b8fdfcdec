use serde_json::{Map, Value, json};

use super::{
    any_required, object, open_names,
    shapes::{reference, shared},
};
use crate::{
    CustomType, StepTypes,
    dialect::{BODY, COMMON, DEFAULTS, Field, MEMBER, Shape},
    kinds::KINDS,
};

/// A step type of the dialect or of the host.
struct StepType<'t> {
    names: Vec<&'t str>,
    doc: &'t str,
    fields: &'static [Field],
    custom: &'t [String],
    markers: &'static [&'static str],
}

/// Returns the shared definitions, which refer to each other: a step of each type, lists of steps, branches.
pub(super) fn definitions(types: &StepTypes) -> Value {
    let types: Vec<_> = custom(types).chain(known()).collect();
    let mut parts = Map::new();
    for (name, schema) in shared() {
        parts.insert(name.to_owned(), schema);
    }
    for field in COMMON.iter().filter(|field| field.shape != Shape::Missing) {
        parts.insert(format!("any_{}", field.name), object(&[std::slice::from_ref(field)], &[]));
    }
    for each in &types {
        parts.insert(format!("step_{}", each.names[0]), kind(each));
        let names = open_names(&[each.fields, COMMON], each.custom);
        parts.insert(format!("names_{}", each.names[0]), json!({ "enum": names }));
    }
    parts.insert("step".to_owned(), step(&types, &[]));
    parts.insert("member".to_owned(), step(&types, MEMBER));
    parts.insert("body".to_owned(), body(&types));
    parts.insert("defaults".to_owned(), defaults(&types));
    let id = json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$" });
    parts.insert(
        "identified".to_owned(),
        json!({ "anyOf": [{ "required": ["id"] }, { "required": ["name"] }], "properties": { "id": id } }),
    );
    parts.insert("listed".to_owned(), json!({ "allOf": [reference("step"), reference("identified")] }));
    let list = json!({ "type": "array", "items": reference("listed") });
    let by_id = json!({ "type": "object", "propertyNames": id, "additionalProperties": reference("step") });
    parts.insert("list".to_owned(), list);
    parts.insert("steps".to_owned(), json!({ "anyOf": [reference("list"), by_id] }));
    let branch = json!({ "anyOf": [reference("list"), reference("member")] });
    let branches = json!({ "type": "object", "propertyNames": id, "additionalProperties": branch });
    parts.insert("branches".to_owned(), branches);
    Value::Object(parts)
}

/// Returns the schema of a step type, with the common fields that the type does not redefine.
fn kind(each: &StepType<'_>) -> Value {
    let is_own = |name: &str| each.fields.iter().any(|field| field.is_named(name));
    let mut own = object(&[each.fields], each.custom);
    let mut all: Vec<_> = own["allOf"].take().as_array().cloned().unwrap_or_default();
    for field in COMMON.iter().filter(|field| field.shape != Shape::Missing && !is_own(field.name)) {
        all.push(match field.names().any(|name| is_own(&name)) {
            true => {
                let mut schema = object(&[each.fields, std::slice::from_ref(field)], &[]);
                let names: Vec<_> = field.names().filter(|name| !is_own(name)).collect();
                let properties =
                    names.iter().map(|name| (name.to_string(), schema["properties"][name.as_ref()].take()));
                json!({ "properties": properties.collect::<Map<_, _>>() })
            }
            false => reference(&format!("any_{}", field.name)),
        });
    }
    own["allOf"] = all.into();
    own["description"] = each.doc.into();
    own
}

fn known<'t>() -> impl Iterator<Item = StepType<'t>> {
    KINDS.iter().filter(|kind| kind.read.is_some()).map(|kind| StepType {
        names: std::iter::once(kind.name).chain(kind.aliases.iter().copied()).collect(),
        doc: kind.doc,
        fields: kind.fields,
        custom: &[],
        markers: kind.markers,
    })
}

fn custom(types: &StepTypes) -> impl Iterator<Item = StepType<'_>> {
    types.iter().map(|(name, custom)| StepType {
        names: vec![name],
        doc: custom.doc(),
        fields: CustomType::TABLE,
        custom: custom.names(),
        markers: &[],
    })
}

/// Returns the schema of a step of any type, with `extra` fields.
fn step(types: &[StepType<'_>], extra: &[Field]) -> Value {
    let names: Vec<_> = types.iter().flat_map(|each| &each.names).collect();
    let more: Vec<_> = extra.iter().map(|field| field.name).collect();
    let fits = |each: &StepType<'_>| {
        let mut names = reference(&format!("names_{}", each.names[0]));
        if !more.is_empty() {
            names = json!({ "anyOf": [names, { "enum": more }] });
        }
        json!([reference(&format!("step_{}", each.names[0])), { "propertyNames": names }])
    };
    let typed = types.iter().map(|each| {
        let is_type = json!({ "properties": { "type": { "enum": each.names } }, "required": ["type"] });
        json!({ "if": is_type, "then": { "allOf": fits(each) } })
    });
    let inferred = types.iter().filter(|each| !each.markers.is_empty()).map(|each| {
        let Value::Array(mut all) = fits(each) else { return json!({}) };
        all.push(any_required(each.markers));
        json!({ "allOf": all })
    });
    let untyped =
        json!({ "if": { "not": { "required": ["type"] } }, "then": { "anyOf": inferred.collect::<Vec<_>>() } });
    let mut schema = object(&[extra], &[]);
    schema["properties"]["type"] = json!({ "enum": names });
    schema["allOf"] = typed.chain([untyped]).collect();
    schema
}

/// Returns the schema of a `body`: a step without an id or other list-specific fields.
fn body(types: &[StepType<'_>]) -> Value {
    let names: Vec<_> = types.iter().flat_map(|each| &each.names).collect();
    let fits = types.iter().map(|each| {
        let mut names = open_names(&[each.fields, BODY], each.custom);
        names.retain(|name| !matches!(name.as_str(), "only_if" | "on_iteration_error"));
        let is_type = json!({ "properties": { "type": { "enum": each.names } }, "required": ["type"] });
        let then =
            json!({ "allOf": [reference(&format!("step_{}", each.names[0])), { "propertyNames": { "enum": names } }] });
        json!({ "if": is_type, "then": then })
    });
    let handlers = json!({ "properties": { "on_error": { "type": "string" } } });
    json!({
        "type": "object",
        "properties": { "type": { "enum": names } },
        "required": ["type"],
        "allOf": fits.chain([handlers]).collect::<Vec<_>>(),
    })
}

fn defaults(types: &[StepType<'_>]) -> Value {
    let settings = super::closed(&[DEFAULTS]);
    let names = types.iter().flat_map(|each| &each.names);
    let names: Vec<_> = names.collect();
    json!({ "type": "object", "propertyNames": { "enum": names }, "additionalProperties": settings })
}
