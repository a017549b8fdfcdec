use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use llmspell_workflows_basic::nearest;
use serde_json::Value;

use crate::violation::{self, Schema};
use crate::{Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec, Violation, integers};

/// The default maximum size of a call's result, in bytes; [`Registry::with_output_bytes_max`] changes it.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The tools that can be called, by name or alias.
///
/// A lookup tries the name as given, then with `-` replaced by `_`, so `web-searcher` finds `web_searcher`.
/// [`call`](Self::call) checks the parameters, calls the tool and limits the size of the result. Schemas are compiled
/// on first use.
#[derive(Default)]
pub struct Registry {
    tools: BTreeMap<&'static str, Entry>,
    aliases: HashMap<&'static str, &'static str>,
    output_bytes_max: Option<usize>,
}

struct Entry {
    tool: Arc<dyn Tool>,
    parameters: OnceLock<Result<Schema, ToolError>>,
    result: OnceLock<Result<Schema, ToolError>>,
}

impl Registry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum size of the JSON text of a result, in bytes.
    #[must_use]
    pub fn with_output_bytes_max(mut self, output_bytes_max: usize) -> Self {
        self.output_bytes_max = Some(output_bytes_max);
        self
    }

    /// Adds a tool; fails if another tool already uses its name or one of its aliases.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use llmspell_workflows_tools::{Category, Registry, SecurityLevel, Tool, ToolContext, ToolError, ToolSpec};
    /// use serde_json::{Value, json};
    ///
    /// struct Doubler(ToolSpec);
    ///
    /// #[async_trait::async_trait]
    /// impl Tool for Doubler {
    ///     fn spec(&self) -> &ToolSpec {
    ///         &self.0
    ///     }
    ///
    ///     async fn call(&self, parameters: Value, _: &ToolContext) -> Result<Value, ToolError> {
    ///         Ok(json!(2.0 * parameters["input"].as_f64().unwrap_or_default()))
    ///     }
    /// }
    ///
    /// let mut tools = Registry::new();
    /// tools.register(Arc::new(Doubler(ToolSpec {
    ///     name: "doubler",
    ///     aliases: &["twice"],
    ///     description: "Doubles a number.",
    ///     category: Category::Utility,
    ///     security_level: SecurityLevel::Safe,
    ///     permissions: &[],
    ///     parameters: json!({
    ///         "type": "object",
    ///         "additionalProperties": false,
    ///         "required": ["input"],
    ///         "properties": {"input": {"type": "number", "description": "The number."}},
    ///     }),
    ///     result: json!({"type": "number"}),
    /// })))?;
    /// assert!(tools.get("twice").is_some());
    /// # Ok::<(), ToolError>(())
    /// ```
    pub fn register(&mut self, tool: Arc<dyn Tool>) -> Result<(), ToolError> {
        let spec = tool.spec();
        let (name, aliases) = (spec.name, spec.aliases);
        for new in aliases.iter().copied().chain([name]) {
            if let Some(other) = self.get(new) {
                return Err(ToolError::new(
                    ToolErrorClass::Configuration,
                    "tool_name_taken",
                    format!(
                        "cannot register the tool `{name}`: the name `{new}` is already used by the tool `{}`",
                        other.spec().name
                    ),
                ));
            }
        }
        self.aliases.extend(aliases.iter().map(|alias| (*alias, name)));
        self.tools.insert(name, Entry { tool, parameters: OnceLock::new(), result: OnceLock::new() });
        Ok(())
    }

    /// Returns the tool with this name or alias.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.entry(name).map(|entry| &entry.tool)
    }

    /// Returns the tool with this name or alias; the error suggests the nearest name.
    pub fn find(&self, name: &str) -> Result<&Arc<dyn Tool>, ToolError> {
        self.require(name).map(|entry| &entry.tool)
    }

    /// Returns the known name or alias closest to `name`, if one is similar.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        let names = self.tools.keys().chain(self.aliases.keys()).copied();
        nearest(&name.replace('-', "_"), names)
    }

    /// Returns the specs of all tools, sorted by name.
    pub fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.values().map(|entry| entry.tool.spec())
    }

    /// Returns all violations in `parameters`, for validation before a run.
    ///
    /// `is_dynamic` is called with JSON Pointers (`""` is the whole value) and returns whether the
    /// position contains a template whose value is not known yet. Requirements that depend on such
    /// a position are checked when the tool is called. Fails if the tool is unknown.
    ///
    /// ```
    /// use llmspell_workflows_tools::{Policy, standard};
    /// use serde_json::json;
    ///
    /// let tools = standard(Policy::default().into())?;
    /// let parameters = json!({"input": "{{extract.result.content}}", "max_lenght": 500});
    /// let violations = tools.check_parameters("text_summarizer", &parameters, &|pointer| pointer == "/input")?;
    /// assert_eq!(violations[0].pointer, "/max_lenght");
    /// assert_eq!(violations[0].help.as_deref(), Some("did you mean `max_length`?"));
    /// # Ok::<(), llmspell_workflows_tools::ToolError>(())
    /// ```
    pub fn check_parameters(
        &self,
        name: &str,
        parameters: &Value,
        is_dynamic: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Violation>, ToolError> {
        self.require(name)?.check_parameters(parameters, is_dynamic)
    }

    /// Checks `result` against the tool's result schema, for tests of tools; returns all
    /// violations.
    pub fn check_result(&self, name: &str, result: &Value) -> Result<Vec<Violation>, ToolError> {
        self.require(name)?.check_result(result)
    }

    /// Checks `parameters`, calls the tool and limits the size of its result.
    pub async fn call(&self, name: &str, mut parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let entry = self.require(name)?;
        let spec = entry.tool.spec();
        let violations = entry.check_parameters(&parameters, &|_| false)?;
        if !violations.is_empty() {
            return Err(violation::to_error(spec.name, "parameters", "invalid_parameters", &violations));
        }
        if context.cancellation.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        integers::normalize(&spec.parameters, &mut parameters);
        let result = entry.tool.call(parameters, context).await?;
        check_size(spec.name, &result, self.output_bytes_max.unwrap_or(OUTPUT_BYTES_MAX))?;
        Ok(result)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let find = |name: &str| self.tools.get(name).or_else(|| self.tools.get(self.aliases.get(name)?));
        find(name).or_else(|| find(&name.replace('-', "_")))
    }

    fn require(&self, name: &str) -> Result<&Entry, ToolError> {
        self.entry(name).ok_or_else(|| {
            let error = ToolError::new(ToolErrorClass::Configuration, "unknown_tool", format!("unknown tool `{name}`"));
            match self.nearest(name) {
                Some(nearest) => error.with_help(format!("did you mean `{nearest}`?")),
                None => error,
            }
        })
    }
}

impl Entry {
    fn check_parameters(
        &self,
        parameters: &Value,
        is_dynamic: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Violation>, ToolError> {
        let spec = self.tool.spec();
        let compiled = self.parameters.get_or_init(|| Schema::compile(spec.name, &spec.parameters));
        let schema = compiled.as_ref().map_err(Clone::clone)?;
        Ok(schema.check(&spec.parameters, parameters, is_dynamic))
    }

    fn check_result(&self, result: &Value) -> Result<Vec<Violation>, ToolError> {
        let spec = self.tool.spec();
        let compiled = self.result.get_or_init(|| Schema::compile(spec.name, &spec.result));
        let schema = compiled.as_ref().map_err(Clone::clone)?;
        Ok(schema.check(&spec.result, result, &|_| false))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tools.keys()).finish()
    }
}

/// Fails if the JSON text of `result` is longer than `bytes_max`, without building that text.
fn check_size(tool: &str, result: &Value, bytes_max: usize) -> Result<(), ToolError> {
    struct Budget(usize);
    impl io::Write for Budget {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Budget(bytes_max), result).map_err(|_| {
        ToolError::new(
            ToolErrorClass::Limit,
            "output_too_large",
            format!("the result of `{tool}` is larger than {bytes_max} bytes"),
        )
        .with_help("request less data, or raise `output_bytes_max` in the policy")
    })
}
