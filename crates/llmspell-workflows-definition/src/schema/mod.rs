//! The JSON Schema of the dialect, generated from the tables of the reader.

mod shapes;
mod steps;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::{
    StepTypes,
    dialect::{Field, ROOT, Shape},
};
use shapes::shape;

/// Returns the JSON Schema (draft 7) of the dialect, for completion, descriptions and checks in editors.
///
/// The schema is generated from the tables that the reader uses, so the two cannot drift apart.
/// Rules that a schema cannot express, such as the existence of a step, are checked only by the
/// reader and the engine.
#[must_use]
pub fn schema(types: &StepTypes) -> Value {
    let mut root = object(&[ROOT], &[]);
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "Workflow".into();
    root["description"] = "A workflow definition of llmspell-workflows.".into();
    let names: Vec<_> = open_names(&[ROOT], &[]);
    root["propertyNames"] = json!({ "enum": names });
    root["oneOf"] = json!([{ "required": ["steps"] }, { "required": ["body"] }]);
    if let Some(constraints) = root["allOf"].as_array_mut() {
        constraints.push(json!({ "properties": { "steps": { "minItems": 1, "minProperties": 1 } } }));
    }
    root["definitions"] = steps::definitions(types);
    root
}

/// Returns the schema of a mapping with the fields of `tables`, which also accepts other fields.
///
/// If several tables contain a name, the first table takes precedence.
fn object(tables: &[&[Field]], custom: &[String]) -> Value {
    let mut properties = Map::new();
    let mut constraints = Vec::new();
    for field in fields(tables) {
        let names: Vec<_> = field.names().filter(|name| owner(tables, name) == Some(field.name)).collect();
        add(field, &names, &mut properties, &mut constraints);
    }
    properties.extend(custom.iter().map(|name| (name.clone(), json!(true))));
    let mut schema = json!({ "type": "object", "properties": properties });
    if !constraints.is_empty() {
        schema["allOf"] = constraints.into();
    }
    schema
}

/// Adds `field` under `names`; a mapping may have only one of them, and must have one if the field is required.
fn add(field: &Field, names: &[Cow<'_, str>], properties: &mut Map<String, Value>, constraints: &mut Vec<Value>) {
    for name in names {
        let mut schema = shape(field.shape, name);
        let doc = match *name == field.name {
            true => field.doc.to_owned(),
            false if name.ends_with("_ms") => format!("{}, in milliseconds.", field.doc.trim_end_matches('.')),
            false if name.ends_with("_seconds") => format!("{}, in seconds.", field.doc.trim_end_matches('.')),
            false => format!("An alias of `{}`.", field.name),
        };
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), doc.into());
        }
        properties.insert(name.to_string(), schema);
    }
    if field.required {
        constraints.push(any_required(names));
    }
    let pairs = names.iter().enumerate().flat_map(|(at, one)| names[at + 1..].iter().map(move |two| (one, two)));
    let conflicts: Vec<_> = pairs.map(|(one, two)| json!({ "required": [one, two] })).collect();
    if !conflicts.is_empty() {
        constraints.push(json!({ "not": { "anyOf": conflicts } }));
    }
}

/// Returns the schema of a mapping with the fields of `tables` and no others.
fn closed(tables: &[&[Field]]) -> Value {
    let mut schema = object(tables, &[]);
    schema["additionalProperties"] = false.into();
    schema
}

/// Returns the supported fields, each from the first table that contains it.
fn fields<'t>(tables: &'t [&'t [Field]]) -> impl Iterator<Item = &'t Field> {
    let shadowed =
        |at: usize, name: &str| tables[..at].iter().any(|table| table.iter().any(|field| field.name == name));
    tables.iter().enumerate().flat_map(move |(at, table)| {
        table.iter().filter(move |field| field.shape != Shape::Missing && !shadowed(at, field.name))
    })
}

/// Returns the canonical name of the field called `written`.
fn owner(tables: &[&[Field]], written: &str) -> Option<&'static str> {
    tables.iter().flat_map(|table| table.iter()).find(|field| field.is_named(written)).map(|field| field.name)
}

fn open_names(tables: &[&[Field]], custom: &[String]) -> Vec<String> {
    let mut names: Vec<_> = fields(tables).flat_map(Field::names).map(|name| name.into_owned()).collect();
    names.extend(custom.iter().cloned());
    names.sort_unstable();
    names.dedup();
    names
}

fn any_required<N: AsRef<str>>(names: &[N]) -> Value {
    match names {
        [name] => json!({ "required": [name.as_ref()] }),
        names => {
            let each: Vec<_> = names.iter().map(|name| json!({ "required": [name.as_ref()] })).collect();
            json!({ "anyOf": each })
        }
    }
}
