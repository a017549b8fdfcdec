use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{iterate::iterate, join::check_resolver};
use crate::{
    Order, Problem, ProblemLocation, StepId,
    engine::{Call, Outcome},
    expr::{Expr, Key, Template},
    model::{IterationMode, Loop, LoopSource, OnConflict, Step, StepKind},
    plan::{Body, Builder, Child, ChildAt, Composite, List, ListKind, Node, Role},
};

/// A prepared list that runs once for each iteration.
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
                let template = self.template(items, path, "over/items");
                self.check_items(&template, path);
                Iterations::Items(template)
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

    /// Warns about each `set` step that sets the same key to a different value in
    /// each concurrent iteration.
    fn conflicting_sets(&mut self, steps: &[Arc<Step>], path: &str) {
        for step in steps.iter().filter(|step| step.condition.is_none()) {
            let inner = format!("{path}/{}", step.id);
            let StepKind::Set(values) = &step.kind else {
                if let StepKind::Sequence(steps) = &step.kind {
                    self.conflicting_sets(steps, &inner);
                }
                continue;
            };
            for (key, _) in values.iter().filter(|(_, value)| is_different_in_each_iteration(value)) {
                let place = ProblemLocation::new(&*inner, format!("set/{key}"));
                let message = format!("the iterations run concurrently, and each sets `{key}` to a different value");
                let help = "set `on_conflict` of the loop, for example to `append` or `sum`, or use a step that does \
                            not change the state";
                self.problems.push(Problem::warning("state_conflict", place, message).with_help(help));
            }
        }
    }

    fn loop_settings(&mut self, settings: &Loop, path: &str) {
        if settings.steps.is_empty() {
            self.error("empty_block", ProblemLocation::new(path, ""), "a loop needs steps");
        }
        check_resolver(self, &settings.on_conflict, path);
        if settings.mode == IterationMode::Sequential && settings.on_conflict != OnConflict::default() {
            let message = "`on_conflict` needs `mode: parallel`: sequential iterations do not conflict";
            self.error("on_conflict_in_sequence", ProblemLocation::new(path, "on_conflict"), message);
        }
        if settings.mode == IterationMode::Parallel {
            if settings.on_conflict == OnConflict::default() {
                self.conflicting_sets(&settings.steps, path);
            }
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

/// Returns whether a template contains the item or the index of the iteration.
fn is_different_in_each_iteration(value: &serde_json::Value) -> bool {
    let Ok(template) = Template::parse(value) else { return false };
    template.references().iter().any(|found| {
        let key = found.reference.keys.first();
        found.reference.name == "loop" && matches!(key, Some(Key::Name(name)) if name == "item" || name == "index")
    })
}
