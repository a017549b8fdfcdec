use std::borrow::Cow;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, ValidationError, Validator};
use llmspell_workflows_basic::nearest;
use serde::Serialize;
use serde_json::Value;

use crate::{ToolError, ToolErrorClass};

/// A position at which a value does not match its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// The JSON Pointer of the position; for an unknown or missing property, the pointer of that property.
    pub pointer: String,
    /// A description of the mismatch.
    pub message: String,
    /// A suggested fix; for an unknown property, the nearest known name.
    pub help: Option<String>,
}

/// A compiled JSON Schema that reports all violations together, in readable messages.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
}

impl Schema {
    /// Compiles `schema` (draft 7) without resolving external references.
    pub(crate) fn compile(tool: &str, schema: &Value) -> Result<Self, ToolError> {
        let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
        let validator = options.build(schema).map_err(|error| {
            ToolError::new(
                ToolErrorClass::Configuration,
                "invalid_tool_schema",
                format!("invalid schema of the tool `{tool}`: {error}"),
            )
        })?;
        Ok(Self { validator })
    }

    /// Returns all violations of `schema`, except violations that depend on a position whose value
    /// is not known yet according to `is_dynamic`. `schema` must be the schema passed to
    /// [`compile`](Self::compile).
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

/// Combines all `violations` into one error, and lists them in its details.
pub(crate) fn to_error(tool: &str, what: &str, code: &'static str, violations: &[Violation]) -> ToolError {
    let lines: Vec<String> = violations
        .iter()
        .map(|violation| match &violation.help {
            Some(help) => format!("{} ({help})", violation.message),
            None => violation.message.clone(),
        })
        .collect();
    let message = format!("invalid {what} for `{tool}`: {}", lines.join("; "));
    ToolError::new(ToolErrorClass::Validation, code, message)
        .with_details(serde_json::json!({ "violations": violations }))
}

/// Returns whether `error` may disappear once the dynamic positions have values. This is the case if a dynamic position
/// is at or above the error, or if it is beneath the error and the failed keyword depends on nested values.
fn depends_on_dynamic(
    error: &ValidationError<'_>,
    schema: &Value,
    root: &Value,
    is_dynamic: &dyn Fn(&str) -> bool,
) -> bool {
    let position = error.instance_path().as_str();
    if position_and_above(position).any(is_dynamic) {
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
        || !only_names_and_counts
            && root.pointer(position).is_some_and(|value| contains_dynamic(position, value, is_dynamic))
}

/// Returns whether `error` comes from a conditional branch (`then`, `else`) whose `if` depends on a dynamic position.
///
/// The condition may apply at the error's position or at a position above it; the error does not
/// say which.
fn condition_is_dynamic(error: &ValidationError<'_>, schema: &Value, is_dynamic: &dyn Fn(&str) -> bool) -> bool {
    let (position, keyword) = (error.instance_path().as_str(), error.schema_path().as_str());
    let branches = ["/then/", "/else/"].into_iter().flat_map(|branch| keyword.match_indices(branch));
    branches.into_iter().any(|(at, _)| {
        let condition = schema.pointer(&format!("{}/if", &keyword[..at]));
        let properties = condition.and_then(|condition| condition.get("properties")).and_then(Value::as_object);
        let mut names = properties.into_iter().flat_map(|properties| properties.keys());
        names.any(|name| position_and_above(position).any(|above| is_dynamic(&format!("{above}/{}", escaped(name)))))
    })
}

/// Returns the JSON Pointers from the root down to `position`, inclusive.
fn position_and_above(position: &str) -> impl Iterator<Item = &str> {
    let ends = position.match_indices('/').map(|(end, _)| end).chain([position.len()]);
    ends.map(|end| &position[..end])
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
    let position = error.instance_path().as_str();
    let shown = if position.is_empty() { "the value".to_owned() } else { format!("`{position}`") };
    let simple = |message: String| vec![Violation { pointer: position.to_owned(), message, help: None }];
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let known = known_properties(error, schema);
            unexpected.iter().map(|name| unknown_property(position, name, &known)).collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Violation {
                pointer: format!("{position}/{}", escaped(name)),
                message: format!("`{position}/{name}` is missing"),
                help: None,
            }]
        }
        Kind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            let names: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
            let nearest = error.instance().as_str().and_then(|text| nearest(text, names.iter().copied()));
            let all: Vec<String> = options.iter().map(Value::to_string).collect();
            vec![Violation {
                pointer: position.to_owned(),
                message: format!("{shown} must be one of {}, got {}", all.join(", "), excerpt(error.instance())),
                help: nearest.map(|name| format!("did you mean `{name}`?")),
            }]
        }
        Kind::Constant { expected_value } => {
            let keyword = error.schema_path().as_str();
            let parent = keyword.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent));
            let reason = parent.and_then(|parent| parent.get("description")).and_then(Value::as_str);
            vec![Violation {
                pointer: position.to_owned(),
                message: format!("{shown} must be {expected_value}, got {}", excerpt(error.instance())),
                help: reason.map(str::to_owned),
            }]
        }
        Kind::FalseSchema => vec![Violation {
            pointer: position.to_owned(),
            message: format!("{shown} is not allowed here"),
            help: condition_help(error, schema),
        }],
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let reasons: Vec<String> = context
                .iter()
                .map(|errors| errors.iter().map(|error| error.masked().to_string()).collect::<Vec<_>>().join(" and "))
                .collect();
            simple(format!("{shown} matches none of the allowed forms: {}", reasons.join("; or ")))
        }
        Kind::Type { .. } => vec![Violation {
            pointer: position.to_owned(),
            message: format!("{shown}: {}", error.masked_with(excerpt(error.instance()))),
            help: type_help(error, schema).map(str::to_owned),
        }],
        _ => simple(format!("{shown}: {}", error.masked_with(excerpt(error.instance())))),
    }
}

/// Returns the description of the conditional branch that does not allow a property.
fn condition_help(error: &ValidationError<'_>, schema: &Value) -> Option<String> {
    let (branch, _) = error.schema_path().as_str().rsplit_once("/properties/")?;
    let branch = schema.pointer(branch).filter(|_| branch.ends_with("/then"))?;
    branch.get("description").and_then(Value::as_str).map(str::to_owned)
}

/// Returns a hint about what to write instead of a string if a number or a boolean is expected.
fn type_help(error: &ValidationError<'_>, schema: &Value) -> Option<&'static str> {
    let text = error.instance().as_str()?;
    match schema.pointer(error.schema_path().as_str())?.as_str()? {
        "integer" | "number" if text.starts_with(|c: char| c.is_ascii_digit()) => {
            Some("write the number alone, without a unit or quotes")
        }
        "boolean" => Some("write `true` or `false` without quotes; in YAML 1.2, `yes` and `no` are strings"),
        _ => None,
    }
}

fn unknown_property(position: &str, name: &str, known: &[&str]) -> Violation {
    let help = match nearest(name, known.iter().copied()) {
        Some(nearest) => Some(format!("did you mean `{nearest}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known properties: `{}`", known.join("`, `"))),
    };
    Violation {
        pointer: format!("{position}/{}", escaped(name)),
        message: format!("unknown property `{position}/{name}`"),
        help,
    }
}

/// Returns the properties known to the object schema whose `additionalProperties` reported `error`.
fn known_properties<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Vec<&'a str> {
    let keyword = error.schema_path().as_str();
    let object = keyword.rsplit_once('/').map_or("", |(object, _)| object);
    let properties = schema.pointer(object).and_then(|object| object.get("properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// Returns the JSON text of `value`, truncated if it is long.
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
