use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use super::schema_graph::SchemaGraph;
use super::support::invalid;
use crate::ToolError;

/// The maximum number of violations in a result.
pub(crate) const VIOLATIONS_MAX: usize = 1000;

/// The maximum size of a value shown in a violation, in bytes of its JSON text.
const SHOWN_BYTES_MAX: usize = 1024;

/// The drafts that `$schema` may select.
const DRAFTS: [(&str, Draft); 5] = [
    ("draft-04", Draft::Draft4),
    ("draft-06", Draft::Draft6),
    ("draft-07", Draft::Draft7),
    ("2019-09", Draft::Draft201909),
    ("2020-12", Draft::Draft202012),
];

/// The violations found in a value.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Violations {
    /// At most [`VIOLATIONS_MAX`] violations, each an object.
    pub(crate) listed: Vec<Value>,
    /// Whether there are more violations than listed.
    pub(crate) truncated: bool,
}

impl Violations {
    /// Adds a violation, including `value` if its JSON text is short.
    pub(crate) fn push(&mut self, mut violation: Map<String, Value>, value: Option<&Value>) {
        if self.listed.len() == VIOLATIONS_MAX {
            self.truncated = true;
            return;
        }
        if let Some(value) = value.filter(|value| is_short(value)) {
            violation.insert("value".to_owned(), value.clone());
        }
        self.listed.push(Value::Object(violation));
    }
}

/// A compiled JSON Schema from the parameters of a call.
///
/// A schema without `$schema` uses draft 7. References to other documents are rejected. Patterns are matched in linear
/// time, so lookaround and backreferences are rejected too.
pub(crate) struct CompiledSchema {
    validator: Validator,
    graph: SchemaGraph,
}

impl CompiledSchema {
    /// Compiles `schema`; the error explains what is invalid or which limit is exceeded.
    pub(crate) fn compile(schema: &Value) -> Result<Self, ToolError> {
        let graph = SchemaGraph::new(schema)?;
        let validator = jsonschema::options()
            .with_draft(draft_of(schema)?)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
            .build(schema)
            .map_err(|error| {
                let position = error.instance_path().as_str().to_owned();
                let at = if position.is_empty() { String::new() } else { format!(" at `{position}`") };
                invalid("invalid_schema", format!("`schema` is not a valid JSON Schema{at}: {error}"))
            })?;
        Ok(Self { validator, graph })
    }

    /// Returns all violations, sorted by position: `path` is a JSON Pointer to the value, `rule` is the violated
    /// keyword, and `schema_path` is the position of the keyword.
    ///
    /// # Errors
    /// Fails if the check would take too much work.
    pub(crate) fn check(&self, value: &Value) -> Result<Violations, ToolError> {
        self.graph.check_work(value)?;
        let mut violations = Violations::default();
        if self.validator.is_valid(value) {
            return Ok(violations);
        }
        for error in self.validator.iter_errors(value) {
            let entry = json!({
                "path": error.instance_path().as_str(),
                "rule": error.kind().keyword(),
                "message": truncate(&error.masked_with("the value").to_string()),
                "schema_path": error.schema_path().as_str(),
            });
            let Value::Object(entry) = entry else { unreachable!("the value above is an object") };
            violations.push(entry, Some(error.instance().as_ref()));
        }
        let key = |violation: &Value| (violation["path"].to_string(), violation["schema_path"].to_string());
        violations.listed.sort_by_cached_key(key);
        Ok(violations)
    }
}

/// Returns the schema of a violation, extended by the properties `more`.
pub(crate) fn violation_schema(more: &Value) -> Value {
    let mut properties = json!({
        "path": { "type": "string" },
        "rule": { "type": "string" },
        "message": { "type": "string" },
        "value": { "description": "The value, if its JSON text is short" },
    });
    if let (Some(properties), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        properties.extend(more.clone());
    }
    json!({
        "type": "object",
        "required": ["path", "rule", "message"],
        "properties": properties,
        "additionalProperties": false,
    })
}

fn draft_of(schema: &Value) -> Result<Draft, ToolError> {
    let Some(uri) = schema.get("$schema") else {
        return Ok(Draft::Draft7);
    };
    let named = uri.as_str().and_then(|uri| {
        let draft = DRAFTS.iter().find(|(name, _)| {
            uri.contains(&format!("json-schema.org/{name}")) || uri.contains(&format!("json-schema.org/draft/{name}"))
        });
        draft.map(|(_, draft)| *draft)
    });
    named.ok_or_else(|| {
        let names: Vec<&str> = DRAFTS.iter().map(|(name, _)| *name).collect();
        invalid("invalid_schema", format!("unsupported `$schema` in `schema`: {uri}"))
            .with_help(format!("supported: {}", names.join(", ")))
    })
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= SHOWN_BYTES_MAX,
        Value::Array(_) | Value::Object(_) => value.to_string().len() <= SHOWN_BYTES_MAX,
        _ => true,
    }
}

fn truncate(message: &str) -> String {
    match message.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_are_listed_in_order() {
        let schema = json!({
            "type": "object",
            "required": ["id"],
            "properties": { "age": { "type": "integer", "minimum": 0 }, "mail": { "format": "email" } },
            "additionalProperties": false,
        });
        let violations = CompiledSchema::compile(&schema).unwrap().check(&json!({"age": -1.5, "mail": "x", "more": 1}));
        let violations = violations.unwrap();
        let found: Vec<_> = violations
            .listed
            .iter()
            .map(|one| (one["path"].as_str().unwrap(), one["rule"].as_str().unwrap()))
            .collect();
        let expected = [
            ("", "additionalProperties"),
            ("", "required"),
            ("/age", "minimum"),
            ("/age", "type"),
            ("/mail", "format"),
        ];
        assert_eq!(found, expected);
        assert_eq!(violations.listed[2]["message"], "the value is less than the minimum of 0");
        assert!(!violations.truncated);
    }

    #[test]
    fn violations_are_limited_in_number_and_omit_long_values() {
        let schema = CompiledSchema::compile(&json!({"items": {"type": "null"}})).unwrap();
        let violations = schema.check(&json!(vec!["x".repeat(2000); VIOLATIONS_MAX + 1])).unwrap();
        assert_eq!((violations.listed.len(), violations.truncated), (VIOLATIONS_MAX, true));
        assert_eq!(violations.listed[0].get("value"), None);
    }

    #[test]
    fn invalid_schemas_and_external_references_are_rejected() {
        let table = [
            (json!({"type": "nothing"}), "not a valid JSON Schema at `/type`"),
            (json!({"$ref": "https://example.com/schema.json"}), "example.com"),
            (json!({"$ref": "file:///etc/passwd"}), "file:///etc/passwd"),
            (json!({"pattern": "(?=x)"}), "not a valid JSON Schema"),
            (json!({"$schema": "https://example.com/own"}), "https://example.com/own\" (supported: draft-04"),
            (json!(7), "not a valid JSON Schema"),
        ];
        for (schema, expected) in table {
            let error = CompiledSchema::compile(&schema).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{schema}: {error:?}");
        }
    }

    #[test]
    fn schema_keyword_selects_the_draft() {
        let tuple = |draft: &str| json!({"$schema": draft, "prefixItems": [{"type": "null"}]});
        for (draft, fits) in
            [("https://json-schema.org/draft/2020-12/schema", false), ("http://json-schema.org/draft-07/schema#", true)]
        {
            let schema = CompiledSchema::compile(&tuple(draft)).unwrap();
            assert_eq!(schema.check(&json!([1])).unwrap().listed.is_empty(), fits, "{draft}");
        }
    }
}
