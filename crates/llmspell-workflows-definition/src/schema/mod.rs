//! The dialect as a JSON Schema, from the tables that the reader goes by.

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

/// The JSON Schema (draft 7) of the dialect, for editors: completion, descriptions, and most mistakes while typing.
///
/// It comes from the same tables as the reader, so the two cannot drift apart. What a schema cannot say, such as
/// whether a step exists, only the reader and the engine find.
#[must_use]
pub fn schema(types: &StepTypes) -> Value {
    let mut root = object(&[ROOT], &[]);
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "Workflow".into();
    root["description"] = "A workflow definition of llmspell-workflows.".into();
    let names: Vec<_> = open_names(&[ROOT], &[]);
    root["propertyNames"] = json!({ "enum": names });
    root["oneOf"] = json!([{ "required": ["steps"] }, { "required": ["body"] }]);
    root["definitions"] = steps::definitions(types);
    root
}

/// A mapping of the fields of `tables`, of which the first that has a name counts; other fields are not refused yet.
fn object(tables: &[&[Field]], custom: &[String]) -> Value {
    let mut properties = Map::new();
    let mut demands = Vec::new();
    for field in fields(tables) {
        let names: Vec<_> = field.names().filter(|name| owner(tables, name) == Some(field.name)).collect();
        add(field, &names, &mut properties, &mut demands);
    }
    properties.extend(custom.iter().map(|name| (name.clone(), json!(true))));
    let mut schema = json!({ "type": "object", "properties": properties });
    if !demands.is_empty() {
        schema["allOf"] = demands.into();
    }
    schema
}

/// Adds `field` under `names`: at most one of them, and at least one where it is required.
fn add(field: &Field, names: &[Cow<'_, str>], properties: &mut Map<String, Value>, demands: &mut Vec<Value>) {
    for name in names {
        let mut schema = shape(field.shape, name);
        let doc = match *name == field.name {
            true => field.doc.to_owned(),
            false if name.ends_with("_ms") => format!("{} In milliseconds.", field.doc),
            false if name.ends_with("_seconds") => format!("{} In seconds.", field.doc),
            false => format!("The same as `{}`.", field.name),
        };
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), doc.into());
        }
        properties.insert(name.to_string(), schema);
    }
    if field.required {
        demands.push(any_required(names));
    }
    let pairs = names.iter().enumerate().flat_map(|(at, one)| names[at + 1..].iter().map(move |two| (one, two)));
    let clashes: Vec<_> = pairs.map(|(one, two)| json!({ "required": [one, two] })).collect();
    if !clashes.is_empty() {
        demands.push(json!({ "not": { "anyOf": clashes } }));
    }
}

/// The same with no other fields.
fn closed(tables: &[&[Field]]) -> Value {
    let mut schema = object(tables, &[]);
    schema["additionalProperties"] = false.into();
    schema
}

/// The fields that this version has; a field of a later table that an earlier one has too does not count.
fn fields<'t>(tables: &'t [&'t [Field]]) -> impl Iterator<Item = &'t Field> {
    let shadowed =
        |at: usize, name: &str| tables[..at].iter().any(|table| table.iter().any(|field| field.name == name));
    tables.iter().enumerate().flat_map(move |(at, table)| {
        table.iter().filter(move |field| field.shape != Shape::Missing && !shadowed(at, field.name))
    })
}

/// The canonical name of the field that `written` means.
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
