use serde_json::json;

use super::{Built, Defined, as_step};
use crate::{
    Functions, WorkflowError,
    model::{Definition, Loop, Over, StepKind},
};

/// A workflow run again and again.
#[derive(Debug, Clone)]
pub struct LoopWorkflow(pub(super) Built);

/// What a [`LoopWorkflow`] runs over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Iterator {
    /// The items of the array that this reference leads to, such as `input.files`.
    Collection(String),
    /// The whole numbers from the first up to but not including the second.
    Range(i64, i64),
    /// As long as this expression is true.
    WhileCondition(String),
}

/// Builds a [`LoopWorkflow`].
#[derive(Debug)]
pub struct LoopWorkflowBuilder {
    name: String,
    iterated: Loop,
    functions: Functions,
}

impl LoopWorkflow {
    /// A workflow called `name` that runs `body` over `iterator`; an iteration's item is `loop.item`.
    #[must_use]
    pub fn builder(name: &str, iterator: Iterator, body: Box<dyn Defined>) -> LoopWorkflowBuilder {
        let over = match iterator {
            Iterator::Collection(reference) => Over::Items(json!(format!("{{{{ {reference} }}}}"))),
            Iterator::Range(start, end) => Over::Range { start: json!(start), end: json!(end), step: json!(1) },
            Iterator::WhileCondition(condition) => Over::While(condition),
        };
        let mut functions = Functions::default();
        let body = as_step("body", &*body, &mut functions);
        LoopWorkflowBuilder { name: name.to_owned(), iterated: Loop::new(over, [body]), functions }
    }
}

impl LoopWorkflowBuilder {
    /// Runs at most the first so many iterations.
    #[must_use]
    pub fn max_iterations(mut self, max: u64) -> Self {
        self.iterated.max_iterations = Some(max);
        self
    }

    /// Ends after the iteration in which `condition` is true; it sees the iteration's output as `output`.
    #[must_use]
    pub fn break_condition(mut self, condition: &str) -> Self {
        self.iterated.until = Some(condition.to_owned());
        self
    }

    /// The workflow.
    ///
    /// # Errors
    /// The name is empty, or an id is none.
    pub fn build(self) -> Result<LoopWorkflow, WorkflowError> {
        Built::new(Definition::new(self.name, StepKind::Loop(self.iterated)), self.functions).map(LoopWorkflow)
    }
}
