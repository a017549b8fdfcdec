use std::borrow::Cow;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, ValidationError, Validator};
use llmspell_workflows_basic::nearest;
use serde::Serialize;
use serde_json::Value;

use crate::{ToolError, ToolErrorClass};

/// One place where a value does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// JSON Pointer to the place; for an unknown or missing property the pointer of that property.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
    /// What would be right, for an unknown property the nearest known one.
    pub help: Option<String>,
}

/// A compiled JSON Schema that reports every violation at once, in words for people.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
}

impl Schema {
    /// Compiles `schema` (draft 7) without reaching for anything outside it.
    pub(crate) fn compile(tool: &str, schema: &Value) -> Result<Self, ToolError> {
        let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
        let validator = options.build(schema).map_err(|error| {
            ToolError::new(
                ToolErrorClass::Configuration,
                "invalid_tool_schema",
                format!("the tool `{tool}` has a schema that is not valid: {error}"),
            )
        })?;
        Ok(Self { validator })
    }

    /// Every violation of `schema`, which this was compiled from, except those that depend on a place that
    /// `is_dynamic` says is not known yet.
    pub(crate) fn check(&self, schema: &Value, value: &Value, is_dynamic: &dyn Fn(&str) -> bool) -> Vec<Violation> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let errors =
            self.validator.iter_errors(value).filter(|error| !depends_on_dynamic(error, schema, value, is_dynamic));
        let mut violations: Vec<Violation> = errors.flat_map(|error| describe(&error, schema)).collect();
        violations.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        violations.dedup();
        violations
    }
}

/// One error for all `violations`, which are in its details.
pub(crate) fn to_error(tool: &str, what: &str, code: &'static str, violations: &[Violation]) -> ToolError {
    let lines: Vec<String> = violations
        .iter()
        .map(|violation| match &violation.help {
            Some(help) => format!("{} ({help})", violation.message),
            None => violation.message.clone(),
        })
        .collect();
    let message = format!("the {what} of `{tool}` do not fit: {}", lines.join("; "));
    ToolError::new(ToolErrorClass::Validation, code, message)
        .with_details(serde_json::json!({ "violations": violations }))
}

/// Whether `error` may go away once the dynamic places have their values: they are at or above its place, or beneath
/// it and its keyword looks into what is beneath.
fn depends_on_dynamic(
    error: &ValidationError<'_>,
    schema: &Value,
    root: &Value,
    is_dynamic: &dyn Fn(&str) -> bool,
) -> bool {
    let place = error.instance_path().as_str();
    if places_above(place).any(is_dynamic) {
        return true;
    }
    let only_names_and_counts = matches!(
        error.kind(),
        Kind::AdditionalProperties { .. }
            | Kind::Required { .. }
            | Kind::Type { .. }
            | Kind::MinItems { .. }
            | Kind::MaxItems { .. }
            | Kind::MinProperties { .. }
            | Kind::MaxProperties { .. }
            | Kind::PropertyNames { .. }
    );
    condition_is_dynamic(error, schema, is_dynamic)
        || !only_names_and_counts && root.pointer(place).is_some_and(|value| contains_dynamic(place, value, is_dynamic))
}

/// Whether `error` comes from the branch of a condition (`if`, `then`, `else`) that looks at a dynamic place.
///
/// The condition was applied to the place of the error or to one above it; which of these, the error does not say.
fn condition_is_dynamic(error: &ValidationError<'_>, schema: &Value, is_dynamic: &dyn Fn(&str) -> bool) -> bool {
    let (place, keyword) = (error.instance_path().as_str(), error.schema_path().as_str());
    let branches = ["/then/", "/else/"].into_iter().flat_map(|branch| keyword.match_indices(branch));
    branches.into_iter().any(|(at, _)| {
        let condition = schema.pointer(&format!("{}/if", &keyword[..at]));
        let properties = condition.and_then(|condition| condition.get("properties")).and_then(Value::as_object);
        let names = properties.into_iter().flat_map(|properties| properties.keys());
        names.into_iter().any(|name| places_above(place).any(|above| is_dynamic(&format!("{above}/{}", escaped(name)))))
    })
}

/// `place` and every place above it, as JSON Pointers, from the root.
fn places_above(place: &str) -> impl Iterator<Item = &str> {
    let ends = place.match_indices('/').map(|(end, _)| end).chain([place.len()]);
    ends.map(|end| &place[..end])
}

fn contains_dynamic(pointer: &str, value: &Value, is_dynamic: &dyn Fn(&str) -> bool) -> bool {
    let below = |name: &str, value: &Value| {
        let pointer = format!("{pointer}/{}", escaped(name));
        is_dynamic(&pointer) || contains_dynamic(&pointer, value, is_dynamic)
    };
    match value {
        Value::Array(items) => items.iter().enumerate().any(|(index, item)| below(&index.to_string(), item)),
        Value::Object(fields) => fields.iter().any(|(name, field)| below(name, field)),
        _ => false,
    }
}

fn describe(error: &ValidationError<'_>, schema: &Value) -> Vec<Violation> {
    let place = error.instance_path().as_str();
    let shown = if place.is_empty() { "the parameters".to_owned() } else { format!("`{place}`") };
    let simple = |message: String| vec![Violation { pointer: place.to_owned(), message, help: None }];
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let known = known_properties(error, schema);
            unexpected.iter().map(|name| unknown_property(place, name, &known)).collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Violation {
                pointer: format!("{place}/{}", escaped(name)),
                message: format!("`{place}/{name}` is missing"),
                help: None,
            }]
        }
        Kind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            let names: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
            let nearest = error.instance().as_str().and_then(|text| nearest(text, names.iter().copied()));
            let all: Vec<String> = options.iter().map(Value::to_string).collect();
            vec![Violation {
                pointer: place.to_owned(),
                message: format!("{shown} is {}, not one of {}", excerpt(error.instance()), all.join(", ")),
                help: nearest.map(|name| format!("did you mean `{name}`?")),
            }]
        }
        Kind::Constant { expected_value } => {
            let keyword = error.schema_path().as_str();
            let parent = keyword.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent));
            let reason = parent.and_then(|parent| parent.get("description")).and_then(Value::as_str);
            vec![Violation {
                pointer: place.to_owned(),
                message: format!("{shown} is {}, not {expected_value}", excerpt(error.instance())),
                help: reason.map(str::to_owned),
            }]
        }
        Kind::FalseSchema => simple(format!("{shown} may not be given here")),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let reasons: Vec<String> = context
                .iter()
                .map(|errors| errors.iter().map(|error| error.masked().to_string()).collect::<Vec<_>>().join(" and "))
                .collect();
            simple(format!("{shown} fits none of its forms: {}", reasons.join("; or ")))
        }
        _ => simple(format!("{shown}: {}", error.masked_with(excerpt(error.instance())))),
    }
}

fn unknown_property(place: &str, name: &str, known: &[&str]) -> Violation {
    let help = match nearest(name, known.iter().copied()) {
        Some(nearest) => Some(format!("did you mean `{nearest}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known are `{}`", known.join("`, `"))),
    };
    Violation { pointer: format!("{place}/{}", escaped(name)), message: format!("`{place}/{name}` is unknown"), help }
}

/// The properties that the object schema knows whose `additionalProperties` gave `error`.
fn known_properties<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Vec<&'a str> {
    let keyword = error.schema_path().as_str();
    let object = keyword.rsplit_once('/').map_or("", |(object, _)| object);
    let properties = schema.pointer(object).and_then(|object| object.get("properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The JSON text of `value`, cut where it is long.
fn excerpt(value: &Value) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(name) }
}
