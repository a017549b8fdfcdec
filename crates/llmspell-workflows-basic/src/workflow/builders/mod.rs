//! Workflow builders, one for each pattern.
//!
//! Each builder creates a [`Definition`] and a registry of its closures, which
//! are named `WORKFLOW#STEP`.

mod conditional;
mod loops;
mod parallel;
mod sequential;

use async_trait::async_trait;

pub use conditional::{Branch, ConditionalStep, ConditionalWorkflow, ConditionalWorkflowBuilder};
pub use loops::{Iterator, LoopWorkflow, LoopWorkflowBuilder};
pub use parallel::{AggregationStrategy, ParallelErrorMode, ParallelWorkflow, ParallelWorkflowBuilder};
pub use sequential::{ErrorStrategy, SequentialWorkflow, SequentialWorkflowBuilder};

use super::{
    BasicWorkflow, ExecutionContext, Finished, WorkflowError, WorkflowInput, WorkflowMetadata, WorkflowOutput,
    WorkflowSchema,
};
use crate::{
    Functions, Invalid, Problem, ProblemLocation, StepId,
    model::{Definition, Step},
};

/// A workflow that consists of a definition and its closures.
pub trait Defined: Send + Sync {
    /// Returns the definition.
    fn definition(&self) -> &Definition;

    /// Returns the closures.
    fn functions(&self) -> &Functions;
}

/// The content of every built workflow.
#[derive(Debug, Clone)]
struct BuiltWorkflow {
    definition: Definition,
    functions: Functions,
}

impl BuiltWorkflow {
    /// Checks the name and the ids of a definition; an engine checks the rest when it prepares the definition.
    fn new(definition: Definition, functions: Functions) -> Result<Self, WorkflowError> {
        let mut problems = Vec::new();
        if definition.name.trim().is_empty() {
            problems.push(Problem::error("name_missing", ProblemLocation::new("", "name"), "a workflow needs a name"));
        }
        let root = Step::new("main", definition.body.clone());
        check_ids(&root, "/main", &mut problems);
        if problems.is_empty() { Ok(Self { definition, functions }) } else { Err(Invalid(problems).into()) }
    }

    async fn execute(&self, input: WorkflowInput, context: &ExecutionContext) -> Result<Finished, WorkflowError> {
        let engine = context.engine().with_functions(self.functions.clone());
        engine.run(self.definition.clone(), input).await
    }
}

fn check_ids(step: &Step, path: &str, problems: &mut Vec<Problem>) {
    for child in step.children() {
        let path = format!("{path}/{}", child.id);
        if let Err(error) = StepId::new(&child.id) {
            problems.push(Problem::error("invalid_id", ProblemLocation::new(&*path, "id"), error.to_string()));
        }
        check_ids(child, &path, problems);
    }
}

/// Implements the workflow traits for a newtype of `BuiltWorkflow`.
macro_rules! built {
    ($type:ty) => {
        impl $type {
            /// Runs the workflow on the engine of `context`.
            ///
            /// # Errors
            /// Fails if the definition or its input is invalid, or if a step fails.
            pub async fn execute(
                &self,
                input: WorkflowInput,
                context: ExecutionContext,
            ) -> Result<WorkflowOutput, WorkflowError> {
                self.0.execute(input, &context).await?.into_output()
            }
        }

        impl Defined for $type {
            fn definition(&self) -> &Definition {
                &self.0.definition
            }

            fn functions(&self) -> &Functions {
                &self.0.functions
            }
        }

        #[async_trait]
        impl BasicWorkflow for $type {
            fn name(&self) -> &str {
                &self.0.definition.name
            }

            async fn execute_basic(
                &self,
                input: WorkflowInput,
                context: &ExecutionContext,
            ) -> Result<WorkflowOutput, WorkflowError> {
                self.0.execute(input, context).await?.into_output()
            }

            fn as_defined(&self) -> Option<&dyn Defined> {
                Some(self)
            }

            fn metadata(&self) -> WorkflowMetadata {
                self.0.definition.metadata()
            }

            fn schema(&self) -> WorkflowSchema {
                self.0.definition.schema()
            }
        }
    };
}

built!(SequentialWorkflow);
built!(ParallelWorkflow);
built!(ConditionalWorkflow);
built!(LoopWorkflow);

/// Converts `workflow` to the step `id` of another workflow, keeping its time limit, and adds its
/// closures to `functions`.
fn as_step(id: &str, workflow: &dyn Defined, functions: &mut Functions) -> Step {
    let definition = workflow.definition();
    functions.extend(workflow.functions().clone());
    Step { total_timeout: definition.total_timeout.clone(), ..Step::new(id, definition.body.clone()) }
}
