use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Built, Defined, as_step};
use crate::{
    BranchResult, Functions, StepError, WorkflowError,
    model::{self, Aggregation, Definition, ErrorMode, OnConflict, Parallel, StepKind},
};

/// Workflows at the same time, joined at the end.
///
/// Unless told otherwise at most ten branches run at once, and the rest is cancelled once success is out of reach.
#[derive(Debug, Clone)]
pub struct ParallelWorkflow(pub(super) Built);

/// How many branches must succeed, and what the output is made of.
pub enum AggregationStrategy {
    /// The output of the first that succeeds.
    FirstSuccess,
    /// The outputs of all, all of which must succeed.
    AllSuccess,
    /// The outputs of those that succeeded, at least so many.
    PartialSuccess(usize),
    /// The outputs of those that succeeded, more than half.
    Majority,
    /// Whatever a function makes of all results.
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

/// What a failed branch does to the others, under the name that builders use.
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
    /// A workflow called `name`.
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

    /// Adds a branch without whose success the whole fails.
    #[must_use]
    pub fn add_required_branch(self, id: &str, workflow: Box<dyn Defined>) -> Self {
        self.branch(id, &*workflow, true)
    }

    fn branch(mut self, id: &str, workflow: &dyn Defined, required: bool) -> Self {
        let step = Arc::new(as_step(id, workflow, &mut self.functions));
        self.parallel.branches.push(model::Branch { step, required });
        self
    }

    /// Sets how many branches run at once.
    #[must_use]
    pub fn with_max_concurrency(mut self, max: u32) -> Self {
        self.parallel.max_parallelism = Some(max);
        self
    }

    /// Sets how many branches must succeed, and what the output is made of.
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

    /// Sets what a failed branch does to the others.
    #[must_use]
    pub fn with_error_mode(mut self, mode: ErrorMode) -> Self {
        self.parallel.error_mode = mode;
        self
    }

    /// Sets what happens where branches changed the same part of the state.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.parallel.on_conflict = on_conflict;
        self
    }

    /// Sets how long the whole may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The workflow.
    ///
    /// # Errors
    /// The name is empty, or an id is none.
    pub fn build(self) -> Result<ParallelWorkflow, WorkflowError> {
        let mut definition = Definition::new(self.name, StepKind::Parallel(self.parallel));
        definition.total_timeout = self.timeout.map(Into::into);
        Built::new(definition, self.functions).map(ParallelWorkflow)
    }
}
