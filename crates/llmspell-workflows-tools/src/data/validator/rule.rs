use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::format::{NAMES, Type};
use crate::ToolError;
use crate::data::condition::{equal, pattern};
use crate::data::order::compare;
use crate::data::path::FieldPath;
use crate::data::schema_check::Violations;
use crate::data::support::{invalid, kind_of};

/// A rule for a field, as given in the parameters. A plain string is a type.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleParameters {
    r#type: Option<Type>,
    #[serde(default)]
    required: bool,
    min: Option<Number>,
    max: Option<Number>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    pattern: Option<String>,
    r#enum: Option<Vec<Value>>,
    message: Option<String>,
}

/// A parsed rule for a field, ready to be applied to many items.
pub(super) struct Rule {
    path: FieldPath,
    required: bool,
    checks: Vec<Check>,
    message: Option<String>,
}

enum Check {
    Type(Type),
    Min(Value),
    Max(Value),
    MinLength(usize),
    MaxLength(usize),
    Pattern(Regex),
    Enum(Vec<Value>),
}

/// Returns the schema of `rules`.
pub(super) fn rules_schema() -> Value {
    let length = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "minProperties": 1,
        "description": "{field path: type, or an object with further rules}",
        "additionalProperties": { "oneOf": [
            { "enum": NAMES },
            {
                "type": "object",
                "properties": {
                    "type": { "enum": NAMES },
                    "required": { "type": "boolean", "description": "Whether the field must be present and not null; false by default" },
                    "min": { "type": "number" },
                    "max": { "type": "number" },
                    "min_length": length,
                    "max_length": length,
                    "pattern": { "type": "string", "description": "A regular expression; use anchors to match the whole string" },
                    "enum": { "type": "array", "minItems": 1 },
                    "message": { "type": "string", "description": "The message that replaces the default messages for this field" },
                },
                "additionalProperties": false,
            },
        ] },
    })
}

/// Parses all rules; the error names the field of an invalid rule.
pub(super) fn rules(parameters: Map<String, Value>) -> Result<Vec<Rule>, ToolError> {
    let rule = |(field, value): (String, Value)| {
        Rule::new(&field, value).map_err(|why| invalid("invalid_rule", format!("invalid rule for `{field}`: {why}")))
    };
    parameters.into_iter().map(rule).collect()
}

impl Rule {
    fn new(field: &str, value: Value) -> Result<Self, String> {
        let parameters = match value {
            name @ Value::String(_) => {
                let r#type = serde_json::from_value(name).map_err(|error| error.to_string())?;
                RuleParameters { r#type: Some(r#type), ..RuleParameters::default() }
            }
            object => serde_json::from_value(object).map_err(|error| error.to_string())?,
        };
        if let (Some(min), Some(max)) = (&parameters.min, &parameters.max)
            && compare(&json!(min), &json!(max)).is_gt()
        {
            return Err(format!("`min` ({min}) is greater than `max` ({max})"));
        }
        let pattern = parameters.pattern.as_deref().map(pattern).transpose()?;
        let number = Value::Number;
        let checks = [
            parameters.r#type.map(Check::Type),
            parameters.r#enum.map(Check::Enum),
            parameters.min.map(number).map(Check::Min),
            parameters.max.map(number).map(Check::Max),
            parameters.min_length.map(Check::MinLength),
            parameters.max_length.map(Check::MaxLength),
            pattern.map(Check::Pattern),
        ];
        Ok(Self {
            path: FieldPath::parse(field)?,
            required: parameters.required,
            checks: checks.into_iter().flatten().collect(),
            message: parameters.message,
        })
    }

    /// Checks the item at `item_path`, and returns the number of checks.
    pub(super) fn check(&self, item: &Value, item_path: &str, violations: &mut Violations) -> u64 {
        let value = self.path.get(item).filter(|value| !value.is_null());
        let Some(value) = value else {
            if self.required {
                self.add_violation(item_path, "required", "required field is missing".to_owned(), None, violations);
            }
            return u64::from(self.required);
        };
        let mut checked = u64::from(self.required);
        for check in &self.checks {
            checked += 1;
            if let Err(why) = check.test(value) {
                self.add_violation(item_path, check.name(), why, Some(value), violations);
                // Further checks of a value with the wrong type would only repeat the error.
                if matches!(check, Check::Type(_)) {
                    break;
                }
            }
        }
        checked
    }

    fn add_violation(
        &self,
        item_path: &str,
        rule: &str,
        why: String,
        value: Option<&Value>,
        violations: &mut Violations,
    ) {
        let path = match (item_path, self.path.to_string()) {
            ("", path) => path,
            (item, path) if path.starts_with('[') => format!("{item}{path}"),
            (item, path) => format!("{item}.{path}"),
        };
        let message = self.message.clone().unwrap_or(why);
        let entry = [("path", path), ("rule", rule.to_owned()), ("message", message)];
        let entry = entry.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text)));
        violations.push(entry.collect(), value);
    }
}

impl Check {
    fn name(&self) -> &'static str {
        match self {
            Self::Type(_) => "type",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::MinLength(_) => "min_length",
            Self::MaxLength(_) => "max_length",
            Self::Pattern(_) => "pattern",
            Self::Enum(_) => "enum",
        }
    }

    fn test(&self, value: &Value) -> Result<(), String> {
        let passes = match self {
            Self::Type(r#type) => r#type.matches(value),
            Self::Min(min) => number(value)? && compare(value, min).is_ge(),
            Self::Max(max) => number(value)? && compare(value, max).is_le(),
            Self::MinLength(min) => length(value)? >= *min,
            Self::MaxLength(max) => length(value)? <= *max,
            Self::Pattern(pattern) => match value {
                Value::String(text) => pattern.is_match(text),
                other => {
                    return Err(format!("expected a string to match against the pattern, got {}", kind_of(other)));
                }
            },
            Self::Enum(values) => values.iter().any(|one| equal(one, value)),
        };
        if passes { Ok(()) } else { Err(self.expectation(value)) }
    }

    fn expectation(&self, value: &Value) -> String {
        match self {
            // The message names the format: "must be a string" would not help if a string is not an e-mail address.
            Self::Type(r#type) => format!("must be {}", r#type.description()),
            Self::Min(min) => format!("must be at least {min}"),
            Self::Max(max) => format!("must be at most {max}"),
            Self::MinLength(min) => format!("must have at least {min} {}", units(value)),
            Self::MaxLength(max) => format!("must have at most {max} {}", units(value)),
            Self::Pattern(pattern) => format!("must match `{pattern}`"),
            Self::Enum(values) => {
                let values: Vec<String> = values.iter().take(20).map(Value::to_string).collect();
                format!("must be one of {}", values.join(", "))
            }
        }
    }
}

fn number(value: &Value) -> Result<bool, String> {
    match value {
        Value::Number(_) => Ok(true),
        other => Err(format!("expected a number to compare with the bound, got {}", kind_of(other))),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.chars().count()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(object) => Ok(object.len()),
        other => Err(format!("expected a string, an array or an object, got {}", kind_of(other))),
    }
}

fn units(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "characters",
        Value::Array(_) => "items",
        _ => "fields",
    }
}
