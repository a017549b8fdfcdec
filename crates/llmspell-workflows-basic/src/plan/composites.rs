use std::sync::Arc;

use super::{Body, Builder, ChoicePlan, Iterations, List, LoopPlan, Node, ParallelPlan, Role, RoutePlan};
use crate::{
    Place, Problem, StepId,
    model::{
        Aggregation, Branch, Conditional, IterationMode, Loop, OnConflict, Over, Parallel, Route, Step, StepKind,
        Switch, Transition,
    },
};

impl Builder<'_> {
    pub(super) fn conditional(&mut self, conditional: &Conditional, path: &str, depth: usize) -> Body {
        let condition = self.expression(&conditional.condition, &Place::new(path, "condition"));
        let then = self.block("then", &conditional.then, &format!("{path}/then"), depth + 1);
        let otherwise = (!conditional.otherwise.is_empty())
            .then(|| self.block("else", &conditional.otherwise, &format!("{path}/else"), depth + 1));
        Body::Choice(ChoicePlan { cases: vec![(condition, then)], default: otherwise })
    }

    pub(super) fn switch(&mut self, switch: &Switch, path: &str, depth: usize) -> Body {
        let mut cases = Vec::with_capacity(switch.cases.len());
        for (number, case) in switch.cases.iter().enumerate() {
            let when = self.expression(&case.when, &Place::new(path, format!("cases/{number}/when")));
            cases.push((when, self.block("case", &case.steps, &format!("{path}/case[{number}]"), depth + 1)));
        }
        if cases.is_empty() {
            self.error("empty_block", Place::new(path, "cases"), "a switch needs at least one case");
        }
        let default = (!switch.default.is_empty())
            .then(|| self.block("default", &switch.default, &format!("{path}/default"), depth + 1));
        Body::Choice(ChoicePlan { cases, default })
    }

    pub(super) fn route(&mut self, route: &Route, path: &str, depth: usize) -> Body {
        self.unique(&route.steps, path);
        self.enter_list(&route.steps);
        let (mut nodes, mut ways) = (Vec::new(), Vec::new());
        for (number, step) in route.steps.iter().enumerate() {
            self.at_step(number);
            let inner = format!("{path}/{}", step.id);
            if !step.dependencies.is_empty() {
                let message = "a step of a route has no dependencies: it runs when another names it as the next";
                self.error("dependencies_in_route", Place::new(&*inner, "dependencies/0"), message);
            }
            nodes.push(self.step(step, &inner, depth + 1));
            let next = step.next.iter().enumerate();
            ways.push(next.map(|(n, transition)| self.way(transition, n, &inner, &route.steps)).collect());
        }
        self.leave_list();
        let start = self.target(&route.start, &Place::new(path, "start"), &route.steps).unwrap_or(0);
        let list = Arc::new(List::new(nodes, None));
        Body::Route(RoutePlan { list, start, ways, transitions_max: route.transitions_max })
    }

    fn way(
        &mut self,
        transition: &Transition,
        number: usize,
        path: &str,
        steps: &[Arc<Step>],
    ) -> (Option<crate::expr::Expr>, Option<usize>) {
        let condition = transition.condition.as_ref().map(|text| {
            let place = Place::new(path, format!("next/{number}/condition"));
            self.with_binding("output", |builder| builder.with_binding("result", |b| b.expression(text, &place)))
        });
        let place = Place::new(path, format!("next/{number}/target"));
        (condition, transition.target.as_ref().and_then(|id| self.target(id, &place, steps)))
    }

    fn target(&mut self, id: &str, place: &Place, steps: &[Arc<Step>]) -> Option<usize> {
        let found = steps.iter().position(|step| step.id == id);
        if found.is_none() {
            let problem =
                Problem::error("unknown_step", place.clone(), format!("no step of this route is called `{id}`"));
            self.problems.push(problem.with_known(id, steps.iter().map(|step| step.id.as_str())));
        }
        found
    }

    pub(super) fn loop_over(&mut self, step: &Step, settings: &Loop, path: &str, depth: usize) -> Body {
        let over = match &settings.over {
            Over::Items(items) => {
                if !items.is_array() && !items.is_string() {
                    let message = format!("a loop runs over an array or a reference to one, not over {items}");
                    self.error("not_a_collection", Place::new(path, "over/items"), message);
                }
                Iterations::Items(self.template(items, path, "over/items"))
            }
            Over::Range { start, end, step } => {
                if step.as_f64() == Some(0.0) {
                    self.error("invalid_number", Place::new(path, "over/range/step"), "a step of 0 would never end");
                }
                Iterations::Range {
                    start: self.template(start, path, "over/range/start"),
                    end: self.template(end, path, "over/range/end"),
                    step: self.template(step, path, "over/range/step"),
                }
            }
            Over::While(condition) => {
                let place = Place::new(path, "over/while");
                Iterations::While(self.in_loop(|builder| builder.expression(condition, &place)))
            }
        };
        self.loop_settings(settings, path);
        let body = Arc::new(Step::new(step.id.clone(), StepKind::Sequence(settings.steps.clone())));
        let id = StepId::new(&step.id).unwrap_or_else(|_| StepId::from_name(&step.id));
        let body = self.in_loop(|builder| builder.synthetic(id, body, path, depth, Role::Iteration));
        let until = settings.until.as_ref().map(|text| {
            self.enter_list(&settings.steps);
            self.at_step(settings.steps.len());
            let until = self
                .in_loop(|builder| builder.with_binding("output", |b| b.expression(text, &Place::new(path, "until"))));
            self.leave_list();
            until
        });
        Body::Loop(LoopPlan { over, body, until, settings: settings.clone() })
    }

    fn loop_settings(&mut self, settings: &Loop, path: &str) {
        if settings.steps.is_empty() {
            self.error("empty_block", Place::new(path, ""), "a loop needs steps");
        }
        if settings.mode == IterationMode::Parallel {
            if settings.until.is_some() {
                let message = "`until` is tested after each iteration, so it needs `mode: sequential`";
                self.error("until_in_parallel", Place::new(path, "until"), message);
            }
            if matches!(settings.over, Over::While(_)) {
                let message = "`while` is tested before each iteration, so it needs `mode: sequential`";
                self.error("while_in_parallel", Place::new(path, "over/while"), message);
            }
        }
        for (field, number) in
            [("max_parallelism", settings.max_parallelism.map(u64::from)), ("max_iterations", settings.max_iterations)]
        {
            if number == Some(0) {
                self.error("invalid_number", Place::new(path, field), format!("`{field}` must be at least 1"));
            }
        }
    }

    pub(super) fn parallel(&mut self, parallel: &Parallel, path: &str, depth: usize) -> Body {
        let steps = parallel.branches.iter().map(|branch| branch.step.clone()).collect();
        self.unique(&steps, path);
        let branches = parallel.branches.iter().map(|branch| self.branch(branch, parallel, path, depth)).collect();
        if parallel.branches.is_empty() {
            self.error("empty_block", Place::new(path, ""), "a parallel block needs branches");
        }
        if parallel.max_parallelism == Some(0) {
            self.error("invalid_number", Place::new(path, "max_parallelism"), "`max_parallelism` must be at least 1");
        }
        self.join_settings(parallel, path);
        let required = parallel.branches.iter().map(|branch| branch.required).collect();
        Body::Parallel(ParallelPlan { branches, required, settings: parallel.clone() })
    }

    fn branch(&mut self, branch: &Branch, parallel: &Parallel, path: &str, depth: usize) -> Arc<Node> {
        let inner = format!("{path}/{}", branch.step.id);
        if !branch.step.dependencies.is_empty() {
            let message = "members of a parallel block run at the same time, so none can wait for another";
            let problem = Problem::error("dependencies_in_parallel", Place::new(&*inner, "dependencies/0"), message);
            self.problems.push(
                problem.with_help("put both into a list with `dependencies`, or one after the other into a branch"),
            );
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
                let message = format!("{n} of {count} branches can never succeed: choose from 1 to {count}");
                self.error("invalid_number", Place::new(path, "aggregation"), message);
            }
            Aggregation::Custom(name) if !self.engine.functions().has_aggregation(name) => {
                let problem = Problem::error(
                    "unknown_function",
                    Place::new(path, "aggregation"),
                    format!("no aggregation is called `{name}`"),
                );
                let known = self.engine.functions().aggregations();
                let known = known.iter().map(String::as_str).chain(["all", "first", "majority", "partial:N"]);
                self.problems.push(problem.with_known(name, known));
            }
            _ => {}
        }
        if let OnConflict::Custom(name) = &parallel.on_conflict
            && !self.engine.functions().has_resolver(name)
        {
            let problem = Problem::error(
                "unknown_function",
                Place::new(path, "on_conflict"),
                format!("nothing that resolves conflicts is called `{name}`"),
            );
            self.problems.push(problem.with_known(name, ["error", "first", "last", "merge"]));
        }
    }
}
