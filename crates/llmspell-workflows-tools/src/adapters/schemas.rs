use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use llmspell_workflows_basic::engine::{SchemaCheck, Violation};
use serde_json::Value;

use crate::data::GivenSchema;

/// How many compiled schemas are kept; with one more, all are dropped.
const KEPT_MAX: usize = 256;

/// JSON Schemas for `validate` steps, each compiled once.
///
/// Without `$schema` they are draft 7. A schema is complete in itself: a reference to another document is refused.
///
/// ```
/// use llmspell_workflows_basic::engine::SchemaCheck;
/// use llmspell_workflows_tools::JsonSchemas;
/// use serde_json::json;
///
/// let schemas = JsonSchemas::new();
/// let violations = schemas.check(&json!({"properties": {"n": {"type": "number"}}}), &json!({"n": "one"}))?;
/// assert_eq!(violations[0].path, "/n");
/// assert!(schemas.check(&json!({"type": "numbr"}), &json!(1)).is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Default)]
pub struct JsonSchemas(Mutex<HashMap<String, Arc<GivenSchema>>>);

impl JsonSchemas {
    /// With none compiled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn compiled(&self, schema: &Value) -> Result<Arc<GivenSchema>, String> {
        let key = schema.to_string();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = kept.get(&key) {
            return Ok(compiled.clone());
        }
        let compiled = Arc::new(GivenSchema::compile(schema).map_err(|error| error.to_string())?);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, compiled.clone());
        Ok(compiled)
    }
}

impl SchemaCheck for JsonSchemas {
    fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String> {
        let found = self.compiled(schema)?.check(data);
        let text = |violation: &Value, key: &str| violation[key].as_str().unwrap_or_default().to_owned();
        let listed = found.listed.iter();
        let mut violations: Vec<_> = listed
            .map(|violation| Violation { path: text(violation, "path"), message: text(violation, "message") })
            .collect();
        if found.truncated {
            violations.push(Violation { path: String::new(), message: "and more".to_owned() });
        }
        Ok(violations)
    }
}

impl fmt::Debug for JsonSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchemas").finish_non_exhaustive()
    }
}
