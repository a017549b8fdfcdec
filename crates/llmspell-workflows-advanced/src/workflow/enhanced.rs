use std::{fmt, sync::Arc};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    BasicWorkflow, Defined, ExecutionContext, Functions, WorkflowError, WorkflowInput, WorkflowMetadata,
    WorkflowOutput, WorkflowSchema, model::Definition,
};

use super::AdvancedWorkflow;

/// A wrapper that makes any basic workflow an [`AdvancedWorkflow`].
///
/// ```
/// use std::sync::Arc;
/// use llmspell_workflows_advanced::{AdvancedWorkflow, EnhancedExecutionContext, EnhancedWorkflow};
/// use llmspell_workflows_basic::{Engine, SequentialWorkflow, WorkflowInput, activity::{Activities, function}};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
/// let mut activities = Activities::new();
/// activities.register("tool", "greet", function(|call| async move { Ok(json!(format!("Hello, {}", call.input()))) }));
/// let context = EnhancedExecutionContext::in_memory().with_engine(Engine::builder().activities(activities).build());
///
/// let basic = SequentialWorkflow::builder("greeting").add_step("greet", "greet", json!("{{ user }}")).build()?;
/// let workflow = Arc::new(EnhancedWorkflow::new(basic));
/// let output = workflow.execute_with_infrastructure(WorkflowInput::new(json!({"user": "Ada"})), context).await?;
/// assert_eq!(output.basic_output.final_result, json!("Hello, \"Ada\""));
/// # Ok::<(), llmspell_workflows_advanced::AdvancedError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct EnhancedWorkflow {
    basic: Arc<dyn BasicWorkflow>,
    state_persistence: bool,
    session_aware: bool,
    context_embedding: bool,
}

impl EnhancedWorkflow {
    /// Wraps `basic`.
    pub fn new(basic: impl BasicWorkflow + 'static) -> Self {
        Self::shared(Arc::new(basic))
    }

    /// Wraps a workflow that is shared, for example with a registry.
    #[must_use]
    pub fn shared(basic: Arc<dyn BasicWorkflow>) -> Self {
        Self { basic, state_persistence: false, session_aware: true, context_embedding: false }
    }

    /// Wraps the workflow that `definition` describes.
    #[must_use]
    pub fn define(definition: Definition) -> Self {
        Self::new(DefinedWorkflow { definition, functions: Functions::default() })
    }

    /// Sets whether the final state of a run is saved; off by default.
    #[must_use]
    pub fn with_state_persistence(mut self, is_enabled: bool) -> Self {
        self.state_persistence = is_enabled;
        self
    }

    /// Sets whether the state carries over between runs in a session; on by default.
    #[must_use]
    pub fn with_session_aware(mut self, is_enabled: bool) -> Self {
        self.session_aware = is_enabled;
        self
    }

    /// Sets whether runs are stored with an embedding and similar past runs are looked up; off by default.
    #[must_use]
    pub fn with_context_embedding(mut self, is_enabled: bool) -> Self {
        self.context_embedding = is_enabled;
        self
    }
}

#[async_trait]
impl BasicWorkflow for EnhancedWorkflow {
    fn name(&self) -> &str {
        self.basic.name()
    }

    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        self.basic.execute_basic(input, context).await
    }

    fn metadata(&self) -> WorkflowMetadata {
        self.basic.metadata()
    }

    fn validate(&self) -> Result<(), WorkflowError> {
        self.basic.validate()
    }

    fn as_defined(&self) -> Option<&dyn Defined> {
        self.basic.as_defined()
    }

    fn schema(&self) -> WorkflowSchema {
        self.basic.schema()
    }
}

impl AdvancedWorkflow for EnhancedWorkflow {
    fn has_lifecycle(&self) -> bool {
        false
    }

    fn state_persistence(&self) -> bool {
        self.state_persistence
    }

    fn supports_session_persistence(&self) -> bool {
        self.session_aware
    }

    fn context_embedding(&self) -> bool {
        self.context_embedding
    }
}

impl fmt::Debug for EnhancedWorkflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enhanced workflow `{}`", self.name())
    }
}

/// A definition as a basic workflow.
struct DefinedWorkflow {
    definition: Definition,
    functions: Functions,
}

impl Defined for DefinedWorkflow {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn functions(&self) -> &Functions {
        &self.functions
    }
}

#[async_trait]
impl BasicWorkflow for DefinedWorkflow {
    fn name(&self) -> &str {
        &self.definition.name
    }

    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        context.engine().run(self.definition.clone(), input).await?.into_output()
    }

    fn metadata(&self) -> WorkflowMetadata {
        self.definition.metadata()
    }

    fn as_defined(&self) -> Option<&dyn Defined> {
        Some(self)
    }

    fn schema(&self) -> WorkflowSchema {
        self.definition.schema()
    }
}
