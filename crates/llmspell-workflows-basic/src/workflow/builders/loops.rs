use serde_json::json;

use super::{BuiltWorkflow, Defined, as_step};
use crate::{
    Functions, WorkflowError,
    model::{Definition, Loop, LoopSource, StepKind},
};

/// A workflow that runs another workflow in a loop.
#[derive(Debug, Clone)]
pub struct LoopWorkflow(pub(super) BuiltWorkflow);

/// The source of the iterations of a [`LoopWorkflow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Iterator {
    /// The items of an array, given as a reference such as `input.files`.
    Collection(String),
    /// The integers from the first number up to but not including the second.
    Range(i64, i64),
    /// The loop runs while this expression is true.
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
    /// Starts building a workflow that runs `body` for each item of `iterator`; `body` sees the item as `loop.item`.
    #[must_use]
    pub fn builder(name: &str, iterator: Iterator, body: Box<dyn Defined>) -> LoopWorkflowBuilder {
        let over = match iterator {
            Iterator::Collection(reference) => LoopSource::Items(json!(format!("{{{{ {reference} }}}}"))),
            Iterator::Range(start, end) => LoopSource::Range { start: json!(start), end: json!(end), step: json!(1) },
            Iterator::WhileCondition(condition) => LoopSource::While(condition),
        };
        let mut functions = Functions::default();
        let body = as_step("body", &*body, &mut functions);
        LoopWorkflowBuilder { name: name.to_owned(), iterated: Loop::new(over, [body]), functions }
    }
}

impl LoopWorkflowBuilder {
    /// Limits the number of iterations; further items are ignored.
    #[must_use]
    pub fn max_iterations(mut self, max: u64) -> Self {
        self.iterated.max_iterations = Some(max);
        self
    }

    /// Ends the loop after the first iteration for which `condition` is true; the condition sees the iteration's output
    /// as `output`.
    #[must_use]
    pub fn break_condition(mut self, condition: &str) -> Self {
        self.iterated.until = Some(condition.to_owned());
        self
    }

    /// Builds the workflow.
    ///
    /// # Errors
    /// Fails if the workflow's name is empty or an id is invalid.
    pub fn build(self) -> Result<LoopWorkflow, WorkflowError> {
        BuiltWorkflow::new(Definition::new(self.name, StepKind::Loop(self.iterated)), self.functions).map(LoopWorkflow)
    }
}
