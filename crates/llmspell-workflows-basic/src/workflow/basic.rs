use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Defined, ExecutionContext, WorkflowError, WorkflowInput, WorkflowOutput};
use crate::model::Definition;

/// A workflow that can be run: built from data or written as code.
///
/// Code calls [`ExecutionContext::step`] for all work with effects. There is one rule: the path
/// through the code must depend only on the results of steps and on [`ExecutionContext::now`],
/// [`ExecutionContext::random`] and [`ExecutionContext::uuid`]. An interrupted run can then resume
/// where it stopped, because each step returns the result recorded under its id.
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use llmspell_workflows_basic::{BasicWorkflow, Engine, ExecutionContext, WorkflowError, WorkflowInput, WorkflowOutput,
///     activity::function};
/// use serde_json::json;
///
/// struct Halve;
///
/// #[async_trait]
/// impl BasicWorkflow for Halve {
///     fn name(&self) -> &str {
///         "halve"
///     }
///
///     async fn execute_basic(&self, input: WorkflowInput, context: &ExecutionContext)
///         -> Result<WorkflowOutput, WorkflowError>
///     {
///         let mut n = input.initial_data;
///         for round in 0..3 {
///             n = context.step(&format!("round{round}"), n, function(|call| async move {
///                 Ok(json!(call.input().as_i64().unwrap_or(0) / 2))
///             })).await?;
///         }
///         Ok(WorkflowOutput::of(n))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let finished = Engine::builder().build().run_code(Arc::new(Halve), WorkflowInput::new(80)).await?;
/// assert_eq!(*finished.output, json!(10));
/// # Ok::<(), WorkflowError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait BasicWorkflow: Send + Sync {
    /// Returns the name.
    fn name(&self) -> &str;

    /// Runs the workflow.
    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError>;

    /// Returns the metadata.
    fn metadata(&self) -> WorkflowMetadata {
        WorkflowMetadata::default()
    }

    /// Validates the workflow as far as possible without an engine.
    ///
    /// # Errors
    /// Returns all problems together.
    fn validate(&self) -> Result<(), WorkflowError> {
        Ok(())
    }

    /// Returns the workflow as a definition with its closures; `None` if the
    /// workflow is written in code.
    fn as_defined(&self) -> Option<&dyn Defined> {
        None
    }

    /// Returns the schema of the input.
    fn schema(&self) -> WorkflowSchema {
        WorkflowSchema { name: self.name().to_owned(), input: json!(true) }
    }
}

/// The metadata of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowMetadata {
    /// The version.
    pub version: String,
    /// The purpose of the workflow.
    pub description: String,
    /// The author.
    pub author: Option<String>,
    /// Keywords for searching.
    pub tags: Vec<String>,
    /// The tools that the workflow requires.
    pub required_tools: Vec<String>,
}

/// The schema of a workflow's input.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowSchema {
    /// The workflow's name.
    pub name: String,
    /// A JSON Schema (draft 7) of the input; `true` accepts anything.
    pub input: Value,
}

impl Definition {
    /// Returns the metadata of the definition.
    #[must_use]
    pub fn metadata(&self) -> WorkflowMetadata {
        WorkflowMetadata {
            version: self.version.clone(),
            description: self.description.clone(),
            author: self.author.clone(),
            tags: self.tags.clone(),
            required_tools: self.required_tools.clone(),
        }
    }

    /// Returns the schema of the input.
    #[must_use]
    pub fn schema(&self) -> WorkflowSchema {
        if self.inputs.is_empty() {
            return WorkflowSchema { name: self.name.clone(), input: json!(true) };
        }
        let properties = self.inputs.iter().map(|(name, spec)| {
            let mut schema = serde_json::Map::new();
            if let Some(kind) = spec.kind {
                schema.insert("type".into(), kind.as_str().into());
            }
            if let Some(default) = &spec.default {
                schema.insert("default".into(), default.clone());
            }
            if let Some(description) = &spec.description {
                schema.insert("description".into(), description.clone().into());
            }
            (name.clone(), Value::Object(schema))
        });
        let properties: serde_json::Map<_, _> = properties.collect();
        let required: Vec<_> = self.inputs.iter().filter(|(_, spec)| spec.required).map(|(name, _)| name).collect();
        let input = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        WorkflowSchema { name: self.name.clone(), input }
    }
}
