use serde_json::Value;

use super::too_complex;
use crate::ToolError;

/// The maximum number of values in a schema.
const SCHEMA_VALUES_MAX: usize = 20_000;

/// The maximum total length of the strings and names in a schema, in bytes.
const SCHEMA_TEXT_BYTES_MAX: usize = 1 << 20;

/// The maximum nesting depth of a schema.
const SCHEMA_NESTING_MAX: usize = 100;

/// The maximum number of references in a schema.
const SCHEMA_REFERENCES_MAX: usize = 1_000;

/// The maximum number of regular expressions in a schema.
const SCHEMA_PATTERNS_MAX: usize = 200;

/// Fails if `schema` exceeds a limit on its size.
pub(super) fn check_size(schema: &Value) -> Result<(), ToolError> {
    let (mut values, mut bytes, mut references, mut patterns) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut open = vec![(schema, 0_usize)];
    while let Some((value, depth)) = open.pop() {
        values += 1;
        if depth > SCHEMA_NESTING_MAX {
            return Err(too_complex(format!(
                "`schema` is nested deeper than {SCHEMA_NESTING_MAX}, the limit `SCHEMA_NESTING_MAX`"
            )));
        }
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                for (name, field) in fields {
                    bytes += name.len();
                    references += usize::from(name.ends_with("Ref") || name == "$ref");
                    patterns += match (name.as_str(), field) {
                        ("pattern", Value::String(_)) => 1,
                        ("patternProperties", Value::Object(all)) => all.len(),
                        _ => 0,
                    };
                    open.push((field, depth + 1));
                }
            }
            _ => {}
        }
    }
    for (count, max, what, limit) in [
        (values, SCHEMA_VALUES_MAX, "values", "SCHEMA_VALUES_MAX"),
        (bytes, SCHEMA_TEXT_BYTES_MAX, "bytes of text", "SCHEMA_TEXT_BYTES_MAX"),
        (references, SCHEMA_REFERENCES_MAX, "references", "SCHEMA_REFERENCES_MAX"),
        (patterns, SCHEMA_PATTERNS_MAX, "regular expressions", "SCHEMA_PATTERNS_MAX"),
    ] {
        if count > max {
            return Err(too_complex(format!("`schema` has more than {max} {what}, the limit `{limit}`")));
        }
    }
    Ok(())
}
