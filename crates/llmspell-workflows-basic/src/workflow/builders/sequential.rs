use std::time::Duration;

use serde_json::Value;

use super::BuiltWorkflow;
use crate::{
    Functions, WorkflowError,
    model::{Definition, OnError, Retry, Step},
};

/// A workflow that runs its steps in sequence.
///
/// ```
/// use llmspell_workflows_basic::{Defined, ErrorStrategy, SequentialWorkflow};
/// use serde_json::json;
///
/// let workflow = SequentialWorkflow::builder("research_assistant")
///     .add_step("search", "web_search", json!({"input": "{{query}}", "max_results": 10}))
///     .add_step("extract", "web_scraper", json!({"input": "{{search.results[0].url}}"}))
///     .with_error_handling(ErrorStrategy::Retry(3))
///     .build()?;
/// assert_eq!(workflow.definition().name, "research_assistant");
/// # Ok::<(), llmspell_workflows_basic::WorkflowError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SequentialWorkflow(pub(super) BuiltWorkflow);

/// The effect of a failed step in a [`SequentialWorkflow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorStrategy {
    /// The workflow fails.
    #[default]
    Fail,
    /// The workflow continues; the step keeps the status `failed`.
    Continue,
    /// The step is retried up to this many times, with exponential backoff; then the workflow fails.
    Retry(u32),
}

/// Builds a [`SequentialWorkflow`].
#[derive(Debug, Clone)]
pub struct SequentialWorkflowBuilder {
    definition: Definition,
    steps: Vec<Step>,
    strategy: ErrorStrategy,
}

impl SequentialWorkflow {
    /// Starts building a workflow.
    #[must_use]
    pub fn builder(name: &str) -> SequentialWorkflowBuilder {
        SequentialWorkflowBuilder {
            definition: Definition::sequence(name, []),
            steps: Vec::new(),
            strategy: ErrorStrategy::Fail,
        }
    }
}

impl SequentialWorkflowBuilder {
    /// Adds a step that calls the tool `tool`.
    #[must_use]
    pub fn add_step(self, id: &str, tool: &str, parameters: Value) -> Self {
        self.with_step(Step::tool(id, tool, parameters))
    }

    /// Adds a step of any kind.
    #[must_use]
    pub fn with_step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets the effect of a failed step, for all steps without their own setting.
    #[must_use]
    pub fn with_error_handling(mut self, strategy: ErrorStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the time limit for the whole workflow.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.definition.total_timeout = Some(timeout.into());
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.definition.description);
        self
    }

    /// Builds the workflow.
    ///
    /// # Errors
    /// Fails if the workflow's name is empty or an id is invalid.
    pub fn build(self) -> Result<SequentialWorkflow, WorkflowError> {
        let strategy = self.strategy;
        let steps = self.steps.into_iter().map(|step| match strategy {
            ErrorStrategy::Continue if step.on_error == OnError::Fail => step.with_on_error(OnError::Continue),
            ErrorStrategy::Retry(more) if step.retry.is_none() => {
                step.with_retry(Retry::attempts(more.saturating_add(1)))
            }
            _ => step,
        });
        let body = Definition::sequence("", steps).body;
        BuiltWorkflow::new(Definition { body, ..self.definition }, Functions::default()).map(SequentialWorkflow)
    }
}
