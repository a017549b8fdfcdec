use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use llmspell_workflows_basic::engine::{SchemaCheck, Violation};
use serde_json::Value;

use crate::data::CompiledSchema;

/// The maximum number of cached schemas; the cache is cleared when it is full.
const CACHED_MAX: usize = 256;

/// Checks data against JSON Schemas for `validate` steps, and caches the compiled schemas.
///
/// Schemas without `$schema` use draft 7. References to other documents are rejected.
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
pub struct JsonSchemas(Mutex<HashMap<String, Arc<CompiledSchema>>>);

impl JsonSchemas {
    /// Creates an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn compiled(&self, schema: &Value) -> Result<Arc<CompiledSchema>, String> {
        let key = schema.to_string();
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = cache.get(&key) {
            return Ok(compiled.clone());
        }
        let compiled = Arc::new(CompiledSchema::compile(schema).map_err(|error| error.to_string())?);
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(key, compiled.clone());
        Ok(compiled)
    }
}

impl SchemaCheck for JsonSchemas {
    fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String> {
        let result = self.compiled(schema)?.check(data).map_err(|error| error.to_string())?;
        let text = |violation: &Value, key: &str| violation[key].as_str().unwrap_or_default().to_owned();
        let listed = result.listed.iter();
        let mut violations: Vec<_> = listed
            .map(|violation| Violation { path: text(violation, "path"), message: text(violation, "message") })
            .collect();
        if result.truncated {
            violations.push(Violation { path: String::new(), message: "further violations are not listed".to_owned() });
        }
        Ok(violations)
    }
}

impl fmt::Debug for JsonSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchemas").finish_non_exhaustive()
    }
}
