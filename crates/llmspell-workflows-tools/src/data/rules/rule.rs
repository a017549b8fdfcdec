use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::ranges::Bounds;
use crate::ToolError;
use crate::data::order::compare;
use crate::data::path::FieldPath;
use crate::data::support::invalid;

/// The rules that can be given by name alone.
const BY_NAME: [&str; 3] = ["uniqueness", "referential_integrity", "value_ranges"];

/// A valid rule with parsed paths.
pub(super) enum Rule {
    Uniqueness { within: Option<String>, fields: Option<Vec<FieldPath>> },
    ReferentialIntegrity { within: Option<String>, reference: Option<Reference> },
    ValueRanges { within: Option<String>, range: Option<(FieldPath, Bounds)> },
    Expression { within: Option<String>, expression: String, message: Option<String> },
}

/// The target of a reference field.
pub(super) struct Reference {
    pub(super) field: FieldPath,
    pub(super) collection: String,
    pub(super) key: FieldPath,
}

#[derive(Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
enum RuleParameters {
    Uniqueness { fields: Option<Vec<String>>, r#in: Option<String> },
    ReferentialIntegrity { field: Option<String>, references: Option<References>, r#in: Option<String> },
    ValueRanges { field: Option<String>, min: Option<Number>, max: Option<Number>, r#in: Option<String> },
    Expression { expression: String, message: Option<String>, r#in: Option<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct References {
    collection: String,
    field: Option<String>,
}

/// Returns the schema of the parameters.
pub(super) fn parameters_schema() -> Value {
    let rule_names = json!(["uniqueness", "referential_integrity", "value_ranges", "expression"]);
    json!({
        "input": { "type": ["object", "array", "string"], "description": "An object, an array of objects, or their JSON text" },
        "rules": { "type": "array", "description": "The names of rules, or objects with further settings", "minItems": 1, "items": {
            "if": { "type": "string" },
            "then": { "enum": BY_NAME },
            "else": {
                "type": "object",
                "required": ["rule"],
                "properties": with(&json!({ "rule": { "enum": rule_names } })),
                "additionalProperties": false,
                "allOf": [
                    only("uniqueness", &["fields", "in"], &[]),
                    only("referential_integrity", &["field", "references", "in"], &[]),
                    only("value_ranges", &["field", "min", "max", "in"], &[]),
                    only("expression", &["expression", "message", "in"], &["expression"]),
                ],
            },
        } },
        "options": {
            "type": "object",
            "description": "Settings for rules given only by name",
            "properties": {
                "uniqueness": options(&["fields", "in"]),
                "referential_integrity": options(&["field", "references", "in"]),
                "value_ranges": options(&["field", "min", "max", "in"]),
            },
            "additionalProperties": false,
        },
    })
}

/// Parses all rules; the error names the index of an invalid rule.
pub(super) fn rules(parameters: Vec<Value>, mut options: Map<String, Value>) -> Result<Vec<Rule>, ToolError> {
    let mut used = Vec::new();
    let mut rules = Vec::with_capacity(parameters.len());
    for (index, rule) in parameters.into_iter().enumerate() {
        let rule = match rule {
            Value::String(name) => {
                let mut rule = match options.get(&name) {
                    Some(Value::Object(options)) => options.clone(),
                    _ => Map::new(),
                };
                rule.insert("rule".to_owned(), json!(name));
                used.push(name);
                Value::Object(rule)
            }
            object => object,
        };
        let parsed = serde_json::from_value(rule).map_err(|error| error.to_string()).and_then(Rule::new);
        rules.push(parsed.map_err(|why| invalid("invalid_rule", format!("rule {index} is invalid: {why}")))?);
    }
    options.retain(|name, _| !used.contains(name));
    match options.keys().next() {
        None => Ok(rules),
        Some(name) => Err(invalid(
            "unused_option",
            format!("`options.{name}` is not used: `rules` does not contain the name `{name}`"),
        )),
    }
}

impl Rule {
    fn new(parameters: RuleParameters) -> Result<Self, String> {
        let paths =
            |fields: Vec<String>| fields.iter().map(|field| FieldPath::parse(field)).collect::<Result<Vec<_>, _>>();
        Ok(match parameters {
            RuleParameters::Uniqueness { fields: Some(fields), .. } if fields.is_empty() => {
                return Err("`fields` must not be empty".to_owned());
            }
            RuleParameters::Uniqueness { fields, r#in } => {
                Self::Uniqueness { within: r#in, fields: fields.map(paths).transpose()? }
            }
            RuleParameters::ReferentialIntegrity { field, references, r#in } => {
                let reference = match (field, references) {
                    (None, None) => None,
                    (Some(field), Some(references)) => Some(Reference::new(&field, references)?),
                    _ => return Err("`field` and `references` must be set together".to_owned()),
                };
                Self::ReferentialIntegrity { within: r#in, reference }
            }
            RuleParameters::ValueRanges { field, min, max, r#in } => {
                let range = match (field, min, max) {
                    (None, None, None) if r#in.is_some() => {
                        return Err("`in` requires `field` and its bounds".to_owned());
                    }
                    (None, None, None) => None,
                    (None, _, _) => return Err("`min` and `max` require `field`".to_owned()),
                    (Some(_), None, None) => return Err("`field` requires `min` or `max`".to_owned()),
                    (_, Some(min), Some(max)) if compare(&json!(min), &json!(max)).is_gt() => {
                        return Err(format!("`min` ({min}) is greater than `max` ({max})"));
                    }
                    (Some(field), min, max) => Some((FieldPath::parse(&field)?, Bounds { min, max })),
                };
                Self::ValueRanges { within: r#in, range }
            }
            RuleParameters::Expression { expression, message, r#in } => {
                Self::Expression { within: r#in, expression, message }
            }
        })
    }

    /// Returns the collection that the rule is restricted to, if any.
    pub(super) fn within(&self) -> Option<&str> {
        match self {
            Self::Uniqueness { within, .. }
            | Self::ReferentialIntegrity { within, .. }
            | Self::ValueRanges { within, .. }
            | Self::Expression { within, .. } => within.as_deref(),
        }
    }
}

impl Reference {
    fn new(field: &str, references: References) -> Result<Self, String> {
        let key = references.field.as_deref().unwrap_or("id");
        Ok(Self { field: FieldPath::parse(field)?, key: FieldPath::parse(key)?, collection: references.collection })
    }
}

/// Returns the schema properties of all rules, extended by `more`.
fn with(more: &Value) -> Value {
    let path = json!({ "type": "string", "minLength": 1 });
    let mut properties = json!({
        "fields": { "type": "array", "items": path, "minItems": 1 },
        "field": path,
        "references": {
            "type": "object",
            "required": ["collection"],
            "properties": { "collection": path, "field": { "type": "string", "minLength": 1, "description": "`id` by default" } },
            "additionalProperties": false,
        },
        "min": { "type": "number" },
        "max": { "type": "number" },
        "expression": { "type": "string", "minLength": 1 },
        "message": { "type": "string" },
        "in": { "type": "string", "description": "The path of the collection to check; all collections by default" },
    });
    if let (Some(properties), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        properties.extend(more.clone());
    }
    properties
}

fn only(rule: &str, names: &[&str], required: &[&str]) -> Value {
    let names: Vec<&str> = names.iter().copied().chain(["rule"]).collect();
    json!({
        "if": { "properties": { "rule": { "const": rule } }, "required": ["rule"] },
        "then": { "propertyNames": { "enum": names }, "required": required },
    })
}

fn options(names: &[&str]) -> Value {
    let all = with(&json!({}));
    let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), all[*name].clone())).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
