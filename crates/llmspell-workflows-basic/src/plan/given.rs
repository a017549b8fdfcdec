//! Checks a step's output that was provided manually.

use serde_json::Value;

use super::{Builder, Plan};
use crate::{Engine, Problem, Severity, StepPath, shape::Shape};

/// A part of the definition that does not work with the output given for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetRead {
    /// The field missing from the output; `None` if the output itself is unsuitable.
    pub field: Option<String>,
    /// The location that reads the output, and what is wrong.
    pub problem: Problem,
}

impl Plan {
    /// Returns everything that does not work if the step at `path` has this output, such as
    /// a reference to a missing field, in another step or in the workflow's outputs. A
    /// reference with a default does not count.
    ///
    /// ```
    /// use llmspell_workflows_basic::{Engine, model::{Definition, Step}};
    /// use serde_json::{Map, json};
    ///
    /// let read = |text: &str| Map::from_iter([("copy".to_owned(), json!(text))]);
    /// let steps = [Step::set("charge", read("x")), Step::set("report", read("{{ charge.copy }}"))];
    /// let engine = Engine::builder().build();
    /// let plan = engine.prepare(Definition::sequence("pay", steps))?;
    /// let charge = "/main/charge".parse().unwrap();
    /// assert!(plan.unmet_reads(&engine, &charge, &json!({"copy": 1})).is_empty());
    /// let unmet = plan.unmet_reads(&engine, &charge, &json!({"receipt": 7}));
    /// assert_eq!((unmet[0].field.as_deref(), &*unmet[0].problem.place.path), (Some("copy"), "/main/report"));
    /// # Ok::<(), llmspell_workflows_basic::Invalid>(())
    /// ```
    #[must_use]
    pub fn unmet_reads(&self, engine: &Engine, path: &StepPath, output: &Value) -> Vec<UnmetRead> {
        let Some(node) = self.node_at(path) else { return Vec::new() };
        let given = Some((node.step.clone(), Shape::of_value(output)));
        let (_, builder) = Builder::run_in(engine, self.definition().clone(), Vec::new(), given);
        let Builder { problems, missing, .. } = builder;
        let of_problem = |at: usize| missing.iter().find(|(_, number)| *number == at).map(|(field, _)| field.clone());
        let unmet = problems.into_iter().enumerate().map(|(at, problem)| UnmetRead { field: of_problem(at), problem });
        // The definition itself is valid, so the output causes every error.
        unmet.filter(|unmet| unmet.problem.severity == Severity::Error).collect()
    }
}
