use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{iterate::iterate, join::check_resolver};
use crate::{
    Order, ProblemLocation, StepId,
    engine::{Call, Outcome},
    expr::{Expr, Template},
    model::{IterationMode, Loop, LoopSource, OnConflict, Step, StepKind},
    plan::{Body, Builder, Child, ChildAt, Composite, List, ListKind, Node, Role},
};

/// A list that runs once for each iteration, prepared to run.
pub(super) struct LoopPlan {
    pub(super) over: Iterations,
    pub(super) body: Arc<Node>,
    pub(super) until: Option<Arc<Expr>>,
    pub(super) settings: Loop,
}

/// The source of a loop's iterations.
pub(super) enum Iterations {
    Items(Template),
    Range { start: Template, end: Template, step: Template },
    While(Expr),
}

impl Composite for LoopPlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(iterate(self, call))
    }

    fn children(&self) -> Vec<Child<'_>> {
        vec![Child { node: &self.body, at: ChildAt::Iteration }]
    }

    fn order(&self, _: Option<&StepId>) -> Order {
        match self.settings.mode {
            IterationMode::Sequential => Order::Sequential,
            IterationMode::Parallel => Order::Independent,
        }
    }

    fn list(&self) -> Option<&Arc<List>> {
        None
    }
}

impl Builder<'_> {
    pub(crate) fn loop_over(&mut self, step: &Step, settings: &Loop, path: &str, depth: usize) -> Body {
        let over = match &settings.over {
            LoopSource::Items(items) => {
                if !items.is_array() && !items.is_string() {
                    let message = format!("expected an array or a reference to one, got {items}");
                    self.error("not_a_collection", ProblemLocation::new(path, "over/items"), message);
                }
                Iterations::Items(self.template(items, path, "over/items"))
            }
            LoopSource::Range { start, end, step } => {
                if step.as_f64() == Some(0.0) {
                    self.error(
                        "invalid_number",
                        ProblemLocation::new(path, "over/range/step"),
                        "a range with a step of 0 would never end",
                    );
                }
                Iterations::Range {
                    start: self.template(start, path, "over/range/start"),
                    end: self.template(end, path, "over/range/end"),
                    step: self.template(step, path, "over/range/step"),
                }
            }
            LoopSource::While(condition) => {
                let place = ProblemLocation::new(path, "over/while");
                let condition = self.before(&settings.steps, |b| b.in_loop(|b| b.expression(condition, &place)));
                Iterations::While(condition)
            }
        };
        self.loop_settings(settings, path);
        let body = Arc::new(Step::new(step.id.clone(), StepKind::Sequence(settings.steps.clone())));
        let id = StepId::new(&step.id).unwrap_or_else(|_| StepId::from_name(&step.id));
        let body = self.in_loop(|builder| builder.synthetic(id, body, path, depth, Role::Iteration));
        let until = settings.until.as_ref().map(|text| {
            self.enter_list(&settings.steps, ListKind::Ordered);
            self.at_step(settings.steps.len());
            let until = self.in_loop(|builder| {
                builder.with_binding("output", |b| b.expression(text, &ProblemLocation::new(path, "until")))
            });
            self.leave_list();
            Arc::new(until)
        });
        Body::Composite(Box::new(LoopPlan { over, body, until, settings: settings.clone() }))
    }

    fn loop_settings(&mut self, settings: &Loop, path: &str) {
        if settings.steps.is_empty() {
            self.error("empty_block", ProblemLocation::new(path, ""), "a loop needs steps");
        }
        check_resolver(self, &settings.on_conflict, path);
        if settings.mode == IterationMode::Sequential && settings.on_conflict != OnConflict::default() {
            let message =
                "`on_conflict` needs `mode: parallel`: iterations that run one after the other do not conflict";
            self.error("on_conflict_in_sequence", ProblemLocation::new(path, "on_conflict"), message);
        }
        if settings.mode == IterationMode::Parallel {
            if settings.until.is_some() {
                let message = "`until` is tested after each iteration and needs `mode: sequential`";
                self.error("until_in_parallel", ProblemLocation::new(path, "until"), message);
            }
            if matches!(settings.over, LoopSource::While(_)) {
                let message = "`while` is tested before each iteration and needs `mode: sequential`";
                self.error("while_in_parallel", ProblemLocation::new(path, "over/while"), message);
            }
        }
        for (field, number) in
            [("max_parallelism", settings.max_parallelism.map(u64::from)), ("max_iterations", settings.max_iterations)]
        {
            if number == Some(0) {
                self.error(
                    "invalid_number",
                    ProblemLocation::new(path, field),
                    format!("`{field}` must be at least 1"),
                );
            }
        }
    }
}
