use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{BuiltWorkflow, Defined, as_step};
use crate::{
    BranchResult, Functions, StepError, WorkflowError,
    model::{self, Aggregation, Definition, ErrorMode, OnConflict, Parallel, StepKind},
};

/// A workflow that runs other workflows in parallel and joins their results.
///
/// By default, at most ten branches run at once, and the remaining branches are cancelled once the workflow can no
/// longer succeed.
#[derive(Debug, Clone)]
pub struct ParallelWorkflow(pub(super) BuiltWorkflow);

/// How many branches must succeed, and how their outputs are combined.
pub enum AggregationStrategy {
    /// One branch must succeed; the output is the output of the first branch that succeeds.
    FirstSuccess,
    /// All branches must succeed; the output contains all outputs.
    AllSuccess,
    /// At least this many branches must succeed; the output contains the outputs of the successful branches.
    PartialSuccess(usize),
    /// More than half of the branches must succeed; the output contains the outputs of the successful branches.
    Majority,
    /// A function decides whether the workflow succeeds, and computes the output from the results
    /// of all branches.
    Custom(Box<dyn Fn(Vec<BranchResult>) -> Result<Value, StepError> + Send + Sync>),
}

impl fmt::Debug for AggregationStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstSuccess => "FirstSuccess",
            Self::AllSuccess => "AllSuccess",
            Self::PartialSuccess(_) => "PartialSuccess",
            Self::Majority => "Majority",
            Self::Custom(_) => "Custom",
        })
    }
}

/// The name that the builders use for the effect of a failed branch on the other branches.
pub use crate::model::ErrorMode as ParallelErrorMode;

/// Builds a [`ParallelWorkflow`].
#[derive(Debug)]
pub struct ParallelWorkflowBuilder {
    name: String,
    parallel: Parallel,
    functions: Functions,
    timeout: Option<Duration>,
}

impl ParallelWorkflow {
    /// Starts building a workflow.
    #[must_use]
    pub fn builder(name: &str) -> ParallelWorkflowBuilder {
        let parallel = Parallel { max_parallelism: Some(10), error_mode: ErrorMode::FailFast, ..Parallel::new([]) };
        ParallelWorkflowBuilder { name: name.to_owned(), parallel, functions: Functions::default(), timeout: None }
    }
}

impl ParallelWorkflowBuilder {
    /// Adds a branch that runs `workflow`.
    #[must_use]
    pub fn add_branch(self, id: &str, workflow: Box<dyn Defined>) -> Self {
        self.branch(id, &*workflow, false)
    }

    /// Adds a branch that must succeed for the workflow to succeed.
    #[must_use]
    pub fn add_required_branch(self, id: &str, workflow: Box<dyn Defined>) -> Self {
        self.branch(id, &*workflow, true)
    }

    fn branch(mut self, id: &str, workflow: &dyn Defined, required: bool) -> Self {
        let step = Arc::new(as_step(id, workflow, &mut self.functions));
        self.parallel.branches.push(model::Branch { step, required });
        self
    }

    /// Sets the maximum number of branches that run at once.
    #[must_use]
    pub fn with_max_concurrency(mut self, max: u32) -> Self {
        self.parallel.max_parallelism = Some(max);
        self
    }

    /// Sets how many branches must succeed, and how their outputs are combined.
    #[must_use]
    pub fn with_aggregation(mut self, strategy: AggregationStrategy) -> Self {
        self.parallel.aggregation = match strategy {
            AggregationStrategy::FirstSuccess => Aggregation::First,
            AggregationStrategy::AllSuccess => Aggregation::All,
            AggregationStrategy::PartialSuccess(n) => Aggregation::AtLeast(u32::try_from(n).unwrap_or(u32::MAX)),
            AggregationStrategy::Majority => Aggregation::Majority,
            AggregationStrategy::Custom(function) => {
                let name = format!("{}#main", self.name);
                self.functions.register_aggregation(name.clone(), function);
                Aggregation::Custom(name)
            }
        };
        self
    }

    /// Sets the effect of a failed branch on the other branches.
    #[must_use]
    pub fn with_error_mode(mut self, mode: ErrorMode) -> Self {
        self.parallel.error_mode = mode;
        self
    }

    /// Sets how to resolve conflicting changes to the state.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.parallel.on_conflict = on_conflict;
        self
    }

    /// Sets the time limit for the whole workflow.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Builds the workflow.
    ///
    /// # Errors
    /// Fails if the workflow's name is empty or an id is invalid.
    pub fn build(self) -> Result<ParallelWorkflow, WorkflowError> {
        let mut definition = Definition::new(self.name, StepKind::Parallel(self.parallel));
        definition.total_timeout = self.timeout.map(Into::into);
        BuiltWorkflow::new(definition, self.functions).map(ParallelWorkflow)
    }
}
