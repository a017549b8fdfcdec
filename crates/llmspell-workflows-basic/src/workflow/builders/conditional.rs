use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::BuiltWorkflow;
use crate::{
    Functions, Invalid, Problem, ProblemLocation, WorkflowError,
    model::{Definition, Route, Step, StepKind, Transition},
    nearest,
};

/// A workflow in which, after each step, conditions choose the next step, which may be an earlier
/// one.
///
/// ```
/// use llmspell_workflows_basic::{Branch, ConditionalStep, ConditionalWorkflow};
/// use serde_json::json;
///
/// let workflow = ConditionalWorkflow::builder("review", "check")
///     .add_condition("passed", "output.score >= 0.8")
///     .add_condition("otherwise", "true")
///     .add_step(ConditionalStep::new("check", "scorer", json!({}), [
///         Branch::to("passed", "publish"),
///         Branch::to("otherwise", "revise"),
///     ]))
///     .add_step(ConditionalStep::new("revise", "editor", json!({}), [Branch::to("otherwise", "check")]))
///     .add_step(ConditionalStep::new("publish", "publisher", json!({}), []))
///     .build()?;
/// # Ok::<(), llmspell_workflows_basic::WorkflowError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConditionalWorkflow(pub(super) BuiltWorkflow);

/// A step of a [`ConditionalWorkflow`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalStep {
    /// The id of the step.
    pub id: String,
    /// The tool to call.
    pub tool: String,
    /// The tool's parameters.
    pub parameters: Value,
    /// The branches to the next step; the first branch whose condition is true is taken. If there
    /// are no branches, the workflow ends after this step.
    pub branches: Vec<Branch>,
}

/// A branch from a [`ConditionalStep`] to its next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The name of a condition, which sees the step's output as `output`.
    pub condition: String,
    /// The id of the next step; `None` ends the workflow.
    pub next_step: Option<String>,
}

impl Branch {
    /// Creates a branch to `next_step`, taken if the named condition is true.
    #[must_use]
    pub fn to(condition: &str, next_step: &str) -> Self {
        Self { condition: condition.to_owned(), next_step: Some(next_step.to_owned()) }
    }

    /// Creates a branch that ends the workflow, taken if the named condition is true.
    #[must_use]
    pub fn end(condition: &str) -> Self {
        Self { condition: condition.to_owned(), next_step: None }
    }
}

impl ConditionalStep {
    /// Creates a step that calls `tool` and continues with one of `branches`.
    pub fn new(id: &str, tool: &str, parameters: Value, branches: impl IntoIterator<Item = Branch>) -> Self {
        Self { id: id.to_owned(), tool: tool.to_owned(), parameters, branches: branches.into_iter().collect() }
    }
}

/// Builds a [`ConditionalWorkflow`].
#[derive(Debug, Clone)]
pub struct ConditionalWorkflowBuilder {
    name: String,
    initial_step: String,
    steps: Vec<ConditionalStep>,
    conditions: IndexMap<String, String>,
}

impl ConditionalWorkflow {
    /// Starts building a workflow that begins at the step `initial_step`.
    #[must_use]
    pub fn builder(name: &str, initial_step: &str) -> ConditionalWorkflowBuilder {
        ConditionalWorkflowBuilder {
            name: name.to_owned(),
            initial_step: initial_step.to_owned(),
            steps: Vec::new(),
            conditions: IndexMap::new(),
        }
    }
}

impl ConditionalWorkflowBuilder {
    /// Adds a named condition.
    #[must_use]
    pub fn add_condition(mut self, name: &str, expression: &str) -> Self {
        self.conditions.insert(name.to_owned(), expression.to_owned());
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn add_step(mut self, step: ConditionalStep) -> Self {
        self.steps.push(step);
        self
    }

    /// Builds the workflow.
    ///
    /// # Errors
    /// Fails if a branch names an unknown condition, if the workflow's name is empty, or if an id is invalid.
    pub fn build(self) -> Result<ConditionalWorkflow, WorkflowError> {
        let mut problems = Vec::new();
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in self.steps {
            let mut built = Step::tool(step.id, step.tool, step.parameters);
            for (number, branch) in step.branches.into_iter().enumerate() {
                let condition = self.conditions.get(&branch.condition).cloned();
                if condition.is_none() {
                    let place = ProblemLocation::new(format!("/main/{}", built.id), format!("next/{number}/condition"));
                    let problem =
                        Problem::error("unknown_condition", place, format!("unknown condition `{}`", branch.condition));
                    let near = nearest(&branch.condition, self.conditions.keys().map(String::as_str));
                    problems.push(match near {
                        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                        None => problem,
                    });
                }
                built.next.push(Transition { condition, target: branch.next_step });
            }
            steps.push(Arc::new(built));
        }
        if !problems.is_empty() {
            return Err(Invalid(problems).into());
        }
        let route = Route { start: self.initial_step, steps, transitions_max: None };
        BuiltWorkflow::new(Definition::new(self.name, StepKind::Route(route)), Functions::default())
            .map(ConditionalWorkflow)
    }
}
