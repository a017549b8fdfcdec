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

/// What is asked of one field, as it is written; a plain string is its type.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
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

/// What is asked of one field, ready to be used on many items.
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

/// The schema of `rules`.
pub(super) fn rules_schema() -> Value {
    let length = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "minProperties": 1,
        "description": "{field path: type, or what is asked of it}",
        "additionalProperties": { "oneOf": [
            { "enum": NAMES },
            {
                "type": "object",
                "properties": {
                    "type": { "enum": NAMES },
                    "required": { "type": "boolean", "description": "Whether it may be missing or null; it may by default" },
                    "min": { "type": "number" },
                    "max": { "type": "number" },
                    "min_length": length,
                    "max_length": length,
                    "pattern": { "type": "string", "description": "A regular expression; anchor it to match all" },
                    "enum": { "type": "array", "minItems": 1 },
                    "message": { "type": "string", "description": "Instead of the messages of this field" },
                },
                "additionalProperties": false,
            },
        ] },
    })
}

/// Reads all rules; the error names the field.
pub(super) fn rules(written: Map<String, Value>) -> Result<Vec<Rule>, ToolError> {
    let rule = |(field, value): (String, Value)| {
        Rule::new(&field, value)
            .map_err(|why| invalid("invalid_rule", format!("the rule of `{field}` cannot be used: {why}")))
    };
    written.into_iter().map(rule).collect()
}

impl Rule {
    fn new(field: &str, written: Value) -> Result<Self, String> {
        let written = match written {
            name @ Value::String(_) => {
                let r#type = serde_json::from_value(name).map_err(|error| error.to_string())?;
                Written { r#type: Some(r#type), ..Written::default() }
            }
            detailed => serde_json::from_value(detailed).map_err(|error| error.to_string())?,
        };
        if let (Some(min), Some(max)) = (&written.min, &written.max)
            && compare(&json!(min), &json!(max)).is_gt()
        {
            return Err(format!("`min` {min} is above `max` {max}"));
        }
        let pattern = written.pattern.as_deref().map(pattern).transpose()?;
        let number = Value::Number;
        let checks = [
            written.r#type.map(Check::Type),
            written.r#enum.map(Check::Enum),
            written.min.map(number).map(Check::Min),
            written.max.map(number).map(Check::Max),
            written.min_length.map(Check::MinLength),
            written.max_length.map(Check::MaxLength),
            pattern.map(Check::Pattern),
        ];
        Ok(Self {
            path: FieldPath::parse(field)?,
            required: written.required,
            checks: checks.into_iter().flatten().collect(),
            message: written.message,
        })
    }

    /// Checks one item, which stands at `place`, and says how many checks that took.
    pub(super) fn check(&self, item: &Value, place: &str, violations: &mut Violations) -> u64 {
        let value = self.path.get(item).filter(|value| !value.is_null());
        let Some(value) = value else {
            if self.required {
                self.violated(place, "required", "it is missing".to_owned(), None, violations);
            }
            return u64::from(self.required);
        };
        let mut checked = u64::from(self.required);
        for check in &self.checks {
            checked += 1;
            if let Err(why) = check.test(value) {
                self.violated(place, check.name(), why, Some(value), violations);
                // The other checks of a value of the wrong type would only repeat that.
                if matches!(check, Check::Type(_)) {
                    break;
                }
            }
        }
        checked
    }

    fn violated(&self, place: &str, rule: &str, why: String, value: Option<&Value>, violations: &mut Violations) {
        let path = match (place, self.path.to_string()) {
            ("", path) => path,
            (place, path) if path.starts_with('[') => format!("{place}{path}"),
            (place, path) => format!("{place}.{path}"),
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
        let fits = match self {
            Self::Type(r#type) => r#type.fits(value),
            Self::Min(min) => number(value)? && compare(value, min).is_ge(),
            Self::Max(max) => number(value)? && compare(value, max).is_le(),
            Self::MinLength(min) => length(value)? >= *min,
            Self::MaxLength(max) => length(value)? <= *max,
            Self::Pattern(pattern) => match value {
                Value::String(text) => pattern.is_match(text),
                other => {
                    return Err(format!("it is {}; only a string can match a pattern", kind_of(other)));
                }
            },
            Self::Enum(values) => values.iter().any(|one| equal(one, value)),
        };
        if fits { Ok(()) } else { Err(self.expectation(value)) }
    }

    fn expectation(&self, value: &Value) -> String {
        match self {
            // A text that is no e-mail address is a string and should be something else too.
            Self::Type(r#type) => format!("it should be {}", r#type.described()),
            Self::Min(min) => format!("it should be at least {min}"),
            Self::Max(max) => format!("it should be at most {max}"),
            Self::MinLength(min) => format!("it should have at least {min} {}", units(value)),
            Self::MaxLength(max) => format!("it should have at most {max} {}", units(value)),
            Self::Pattern(pattern) => format!("it should match `{pattern}`"),
            Self::Enum(values) => {
                let values: Vec<String> = values.iter().take(20).map(Value::to_string).collect();
                format!("it should be one of {}", values.join(", "))
            }
        }
    }
}

fn number(value: &Value) -> Result<bool, String> {
    match value {
        Value::Number(_) => Ok(true),
        other => Err(format!("it is {}; only a number can be compared with a bound", kind_of(other))),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.chars().count()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(object) => Ok(object.len()),
        other => Err(format!("it is {}, which has no length", kind_of(other))),
    }
}

fn units(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "characters",
        Value::Array(_) => "items",
        _ => "fields",
    }
}
