use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::join::check_resolver;
use super::parallel;
use crate::{
    Order, Problem, ProblemLocation, StepId,
    engine::{Call, Outcome},
    model::{Aggregation, Branch, Parallel},
    plan::{Body, Builder, Child, Composite, List, Node, Role},
};

/// Prepared branches that run at the same time and are then joined.
pub(super) struct ParallelPlan {
    pub(super) branches: Vec<Arc<Node>>,
    pub(super) required: Vec<bool>,
    pub(super) settings: Parallel,
}

impl Composite for ParallelPlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(parallel::run(self, call))
    }

    fn children(&self) -> Vec<Child<'_>> {
        self.branches.iter().map(Child::by_id).collect()
    }

    fn order(&self, _: Option<&StepId>) -> Order {
        Order::Independent
    }

    fn list(&self) -> Option<&Arc<List>> {
        None
    }
}

impl Builder<'_> {
    pub(crate) fn parallel(&mut self, parallel: &Parallel, path: &str, depth: usize) -> Body {
        let steps = parallel.branches.iter().map(|branch| branch.step.clone()).collect();
        self.unique(&steps, path);
        let branches = parallel.branches.iter().map(|branch| self.branch(branch, parallel, path, depth)).collect();
        if parallel.branches.is_empty() {
            self.error("empty_block", ProblemLocation::new(path, ""), "a parallel block needs branches");
        }
        if parallel.max_parallelism == Some(0) {
            self.error(
                "invalid_number",
                ProblemLocation::new(path, "max_parallelism"),
                "`max_parallelism` must be at least 1",
            );
        }
        self.join_settings(parallel, path);
        let required = parallel.branches.iter().map(|branch| branch.required).collect();
        Body::Composite(Box::new(ParallelPlan { branches, required, settings: parallel.clone() }))
    }

    fn branch(&mut self, branch: &Branch, parallel: &Parallel, path: &str, depth: usize) -> Arc<Node> {
        let inner = format!("{path}/{}", branch.step.id);
        if !branch.step.dependencies.is_empty() {
            let message = "the branches of a parallel block run concurrently, so none can wait for another";
            let problem =
                Problem::error("dependencies_in_parallel", ProblemLocation::new(&*inner, "dependencies/0"), message);
            self.problems
                .push(problem.with_help("put both steps in a list with `dependencies`, or in sequence in one branch"));
        }
        self.next_without_route(&branch.step, &inner);
        let mut step = branch.step.clone();
        if step.total_timeout.is_none() && parallel.branch_timeout.is_some() {
            Arc::make_mut(&mut step).total_timeout = parallel.branch_timeout.clone();
        }
        let node = self.node(&step, &inner, depth + 1);
        self.add(Node { role: Role::Branch, ..node })
    }

    fn join_settings(&mut self, parallel: &Parallel, path: &str) {
        let count = parallel.branches.len();
        match &parallel.aggregation {
            Aggregation::AtLeast(n) if *n as usize > count || *n == 0 => {
                let message = format!("expected a number from 1 to {count}, the number of branches, got {n}");
                self.error("invalid_number", ProblemLocation::new(path, "aggregation"), message);
            }
            Aggregation::Custom(name) if !self.engine.functions().has_aggregation(name) => {
                let problem = Problem::error(
                    "unknown_function",
                    ProblemLocation::new(path, "aggregation"),
                    format!("unknown aggregation `{name}`"),
                );
                let known = self.engine.functions().aggregations();
                let known = known.iter().map(String::as_str).chain(["all", "first", "majority", "partial:N"]);
                self.problems.push(problem.with_known(name, known));
            }
            _ => {}
        }
        check_resolver(self, &parallel.on_conflict, path);
    }
}
