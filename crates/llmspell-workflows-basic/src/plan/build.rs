use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Body, Length, List, Node, Plan, Recovery, Role,
    cleanup::needs_limit,
    graph::Graph,
    in_scope::{ListKind, Names, SiblingReference},
    names::survey,
};
use crate::{
    Problem, ProblemLocation, Severity, StepId,
    engine::Engine,
    model::{Definition, Delay, OnError, Step, StepKind, Steps, TriggerRule},
    patterns::ListPlan,
    plan::Invalid,
    shape::Shape,
};

/// Builds a plan and collects all problems.
pub(crate) struct Builder<'e> {
    pub(crate) engine: &'e Engine,
    pub(super) definition: Arc<Definition>,
    pub(crate) problems: Vec<Problem>,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) names: Names,
    pub(super) all_ids: BTreeSet<String>,
    pub(super) state_keys: BTreeSet<String>,
    pub(super) sets_any_state: bool,
    /// The undeclared input fields that are read, and whether each is required.
    pub(super) fields_read: BTreeMap<String, bool>,
    steps: usize,
    /// Whether the next list consists of cleanup steps, and whether the next step is a cleanup
    /// step.
    pub(super) is_cleanup_list: bool,
    pub(super) is_cleanup_step: bool,
    /// The depth of the step whose task also runs the step being built.
    task_depth: usize,
    /// The names of the definitions that enclose this one, outermost first.
    pub(super) chain: Vec<String>,
    /// A step with a known output, and the shape of that output.
    pub(super) given: Option<(Arc<Step>, Shape)>,
    /// The fields that are read but missing from the given output, each with the number of the
    /// problem that reports it.
    pub(super) missing: Vec<(String, usize)>,
}

/// How many levels of nested steps share one thread's stack. In a debug build, one level of loops
/// uses over 100 kB of the usual 2 MB stack.
const LEVELS_PER_TASK: usize = 8;

impl<'e> Builder<'e> {
    /// Builds the plan of `definition`.
    ///
    /// # Errors
    /// Returns all problems if one of them is an error.
    pub(crate) fn plan(engine: &'e Engine, definition: Arc<Definition>) -> Result<Plan, Invalid> {
        Self::plan_in(engine, definition, Vec::new())
    }

    /// Builds the plan of a sub-workflow; `chain` contains the names of the enclosing definitions.
    pub(crate) fn plan_in(
        engine: &'e Engine,
        definition: Arc<Definition>,
        chain: Vec<String>,
    ) -> Result<Plan, Invalid> {
        let (plan, builder) = Self::run_in(engine, definition, chain, None);
        let mut problems = builder.problems;
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Invalid(problems));
        }
        Ok(Plan { warnings: std::mem::take(&mut problems), ..plan })
    }

    /// Builds a plan, even of an invalid definition, and returns all problems.
    pub(crate) fn run(engine: &'e Engine, definition: Arc<Definition>) -> (Plan, Vec<Problem>) {
        let (plan, builder) = Self::run_in(engine, definition, Vec::new(), None);
        (plan, builder.problems)
    }

    pub(super) fn run_in(
        engine: &'e Engine,
        definition: Arc<Definition>,
        chain: Vec<String>,
        given: Option<(Arc<Step>, Shape)>,
    ) -> (Plan, Self) {
        let main = Arc::new(super::root::main(&definition));
        let finally = Step::new("finally", StepKind::Sequence(definition.finally.clone()));
        let (all_ids, mut state_keys, mut sets_any_state) = survey(&[&main, &finally]);
        let migrated = definition.migrations.values().flat_map(|one| one.set.keys().chain(one.rename.values()));
        state_keys.extend(migrated.cloned());
        sets_any_state |= definition.migrations.values().any(|one| one.function.is_some());
        let mut builder = Self {
            engine,
            definition,
            problems: Vec::new(),
            nodes: Vec::new(),
            names: Names::default(),
            all_ids,
            state_keys,
            sets_any_state,
            fields_read: BTreeMap::new(),
            steps: 0,
            is_cleanup_list: false,
            is_cleanup_step: false,
            task_depth: 0,
            chain,
            given,
            missing: Vec::new(),
        };
        let plan = builder.definition(main);
        (plan, builder)
    }

    pub(crate) fn error(&mut self, code: &'static str, place: ProblemLocation, message: impl Into<String>) {
        self.problems.push(Problem::error(code, place, message));
    }

    /// Builds a list of steps as a separate step with the id `id`.
    pub(crate) fn block(&mut self, id: &'static str, steps: &Steps, path: &str, depth: usize) -> Arc<Node> {
        let step = Arc::new(Step::new(id, StepKind::Sequence(steps.clone())));
        self.synthetic(StepId::system(id), step, path, depth, Role::Block)
    }

    /// Builds a step that is not in the definition and only runs other steps.
    pub(crate) fn synthetic(&mut self, id: StepId, step: Arc<Step>, path: &str, depth: usize, role: Role) -> Arc<Node> {
        let body = self.body(&step, path, depth);
        let slice = self.engine.stack().slice(&step);
        self.add(Node { slice, role, ..Node::bare(id, step, body) })
    }

    /// Builds a step of the definition.
    pub(crate) fn step(&mut self, step: &Arc<Step>, path: &str, depth: usize) -> Arc<Node> {
        let node = self.node(step, path, depth);
        self.add(node)
    }

    pub(crate) fn node(&mut self, step: &Arc<Step>, path: &str, depth: usize) -> Node {
        self.count(path, depth);
        self.names.enclosing.push(step.clone());
        let is_bounded = std::mem::take(&mut self.is_cleanup_step) && needs_limit(step);
        let outer = std::mem::take(&mut self.names.reads_start);
        let runs_steps = !step.kind.is_leaf() || matches!(step.on_error, OnError::Steps(_));
        let in_task = runs_steps && depth >= self.task_depth + LEVELS_PER_TASK;
        let task_depth = self.task_depth;
        if in_task {
            self.task_depth = depth;
        }
        let id = self.id(step, path);
        let name = step.name.as_ref().filter(|name| name.contains("{{") || name.contains("${"));
        let name = name.map(|name| self.template(&name.as_str().into(), path, "name"));
        let condition =
            step.condition.as_ref().map(|text| self.expression(text, &ProblemLocation::new(path, "condition")));
        let timeout = step.timeout.as_ref().map(|delay| self.length(delay, path, "timeout"));
        let total_timeout = step.total_timeout.as_ref().map(|delay| self.length(delay, path, "total_timeout"));
        let total_timeout = if is_bounded { Some(Length::CleanupLimit) } else { total_timeout };
        self.settings(step, path);
        let body = self.body(step, path, depth);
        if let Some(sub) = body.sub_workflow() {
            self.check_enclosing_limits(step, sub, path);
        }
        let recovery = match &step.on_error {
            OnError::Fail => Recovery::Fail,
            OnError::Continue => Recovery::Continue,
            OnError::Steps(steps) => Recovery::Steps(self.with_binding("error", |builder| {
                let block =
                    |builder: &mut Self| builder.block("$on_error", steps, &format!("{path}/$on_error"), depth + 1);
                if depth == 0 { builder.after_root(ListKind::Ended, block) } else { block(builder) }
            })),
        };
        let undo = step.compensate.as_ref().map(|undo| self.undo(step, undo, path, depth));
        let slice = if is_bounded { self.bounded_slice(step) } else { self.engine.stack().slice(step) };
        let reads_start = std::mem::replace(&mut self.names.reads_start, outer);
        self.names.enclosing.pop();
        self.task_depth = task_depth;
        let bare = Node::bare(id, step.clone(), body);
        let is_plain = name.is_none() && condition.is_none() && !reads_start;
        let plain = Node { is_plain, reads_start, in_task, ..bare };
        Node { slice, name, condition, timeout, total_timeout, recovery, undo, ..plain }
    }

    /// Adds a node to the plan.
    pub(crate) fn add(&mut self, node: Node) -> Arc<Node> {
        let number = u32::try_from(self.nodes.len()).ok();
        let node = Arc::new(Node { number, ..node });
        self.nodes.push(node.clone());
        node
    }

    fn count(&mut self, path: &str, depth: usize) {
        let limits = self.engine.limits();
        let steps_max = limits.definition_steps_max;
        self.steps += 1;
        if self.steps == steps_max + 1 {
            let message = format!("the definition has more than {steps_max} steps, the limit `definition_steps_max`");
            self.error("definition_steps_max", ProblemLocation::new(path, ""), message);
        }
        if depth == limits.nesting_max + 1 {
            let message = format!("steps are nested deeper than {}, the limit `nesting_max`", limits.nesting_max);
            self.error("nesting_max", ProblemLocation::new(path, ""), message);
        }
    }

    fn id(&mut self, step: &Step, path: &str) -> StepId {
        StepId::new(&step.id).unwrap_or_else(|error| {
            self.error("invalid_id", ProblemLocation::new(path, "id"), error.to_string());
            StepId::from_name(&step.id)
        })
    }

    pub(crate) fn length(&mut self, delay: &Delay, path: &str, field: &str) -> Length {
        match delay {
            Delay::Fixed(duration) => Length::Fixed(*duration),
            Delay::Expression(text) => Length::Computed(self.expression(text, &ProblemLocation::new(path, field))),
        }
    }

    /// Builds the steps of a list, in order or as a graph.
    pub(crate) fn list(&mut self, steps: &Steps, path: &str, depth: usize) -> Arc<List> {
        let cleans_up = std::mem::take(&mut self.is_cleanup_list);
        self.unique(steps, path);
        self.shadowing(steps, path);
        self.enter_list(steps, ListKind::Ordered);
        let mut nodes = Vec::with_capacity(steps.len());
        for (number, step) in steps.iter().enumerate() {
            self.at_step(number);
            let inner = format!("{path}/{}", step.id);
            self.next_without_route(step, &inner);
            self.is_cleanup_step = cleans_up;
            nodes.push(self.step(step, &inner, depth + 1));
        }
        let uses = self.leave_list();
        let graph = if steps.iter().any(|step| !step.dependencies.is_empty()) {
            self.graph(steps, &uses, path)
        } else {
            self.in_order(steps, &uses, path);
            None
        };
        Arc::new(List::new(nodes, graph).cleaning_up(cleans_up))
    }

    /// Reports the transitions of a step outside a route.
    pub(crate) fn next_without_route(&mut self, step: &Step, path: &str) {
        if !step.next.is_empty() {
            let message = "only a step of a route can name a next step";
            self.error("next_outside_of_route", ProblemLocation::new(path, "next/0"), message);
        }
    }

    pub(crate) fn unique(&mut self, steps: &Steps, path: &str) {
        let mut seen = BTreeSet::new();
        for step in steps {
            if !seen.insert(step.id.as_str()) {
                let place = ProblemLocation::new(format!("{path}/{}", step.id), "id");
                self.error("duplicate_id", place, format!("this list contains two steps with the id `{}`", step.id));
            }
        }
    }

    fn in_order(&mut self, steps: &Steps, uses: &[SiblingReference], path: &str) {
        for SiblingReference { by, of, place } in uses.iter().filter(|used| used.of >= used.by) {
            let id = &steps[*of].id;
            let message = if of == by {
                format!("`{id}` refers to its own output")
            } else {
                format!("`{id}` runs later than `{}`", steps[*by].id)
            };
            self.error("unknown_reference", place.clone(), message);
        }
        for step in steps.iter().filter(|step| {
            !matches!(
                step.trigger_rule,
                TriggerRule::NoneFailedMinOneSuccess | TriggerRule::Always | TriggerRule::AllDone
            )
        }) {
            let place = ProblemLocation::new(format!("{path}/{}", step.id), "trigger_rule");
            let message =
                format!("`{}` needs dependencies, but no step of this list has any", step.trigger_rule.as_str());
            self.error("trigger_rule_without_dependencies", place, message);
        }
    }

    fn graph(&mut self, steps: &Steps, uses: &[SiblingReference], path: &str) -> Option<Graph> {
        let mut dependencies = vec![Vec::new(); steps.len()];
        for (number, step) in steps.iter().enumerate() {
            for (position, id) in step.dependencies.iter().enumerate() {
                match steps.iter().position(|other| other.id == *id) {
                    Some(other) if !dependencies[number].contains(&other) => dependencies[number].push(other),
                    Some(_) => {}
                    None => self.unknown_dependency(steps, step, position, id, path),
                }
            }
        }
        let mut waits_for = dependencies.clone();
        for used in uses {
            if !waits_for[used.by].contains(&used.of) {
                waits_for[used.by].push(used.of);
            }
        }
        match Graph::new(dependencies, waits_for) {
            Ok(graph) => {
                self.problems.extend(graph.unconnected(steps, path));
                Some(graph)
            }
            Err(cycle) => {
                let mut names: Vec<_> = cycle.iter().map(|number| steps[*number].id.as_str()).collect();
                names.push(names[0]);
                let place = ProblemLocation::new(format!("{path}/{}", names[0]), "dependencies/0");
                let message = format!("these steps wait for each other: {}", names.join(" → "));
                self.problems.push(
                    Problem::error("dependency_cycle", place, message)
                        .with_help("remove one of these dependencies or references"),
                );
                None
            }
        }
    }

    fn unknown_dependency(&mut self, steps: &Steps, step: &Step, position: usize, id: &str, path: &str) {
        let place = ProblemLocation::new(format!("{path}/{}", step.id), format!("dependencies/{position}"));
        let message = if self.all_ids.contains(id) {
            format!("the step `{id}` is not in this list; a step can wait only for its siblings")
        } else {
            format!("unknown step `{id}`")
        };
        let problem = Problem::error("unknown_dependency", place, message);
        let siblings = steps.iter().map(|other| other.id.as_str()).filter(|other| *other != step.id);
        self.problems.push(problem.with_known(id, siblings));
    }

    fn body(&mut self, step: &Step, path: &str, depth: usize) -> Body {
        // A step nested too deeply is reported once, and its inner steps are not checked.
        if depth > self.engine.limits().nesting_max {
            return Builder::invalid_body();
        }
        match &step.kind {
            StepKind::Activity(call) => Body::Activity(self.activity(call, path)),
            StepKind::Set(values) => self.set(values, path),
            StepKind::Sleep(delay) => self.sleep(delay, path),
            StepKind::WaitForEvent(wait) => self.wait_for_event(wait, path),
            StepKind::Workflow(sub) => self.sub_workflow(sub, path),
            StepKind::Validate(validate) => self.validate(validate, path),
            StepKind::Sequence(steps) => Body::Composite(Box::new(ListPlan(self.list(steps, path, depth)))),
            StepKind::Conditional(conditional) => self.conditional(conditional, path, depth),
            StepKind::Switch(switch) => self.switch(switch, path, depth),
            StepKind::Route(route) => self.route(route, path, depth),
            StepKind::Loop(settings) => self.loop_over(step, settings, path, depth),
            StepKind::Parallel(parallel) => self.parallel(parallel, path, depth),
        }
    }

    /// Returns the body of an invalid step, which never runs.
    pub(crate) fn invalid_body() -> Body {
        Body::Composite(Box::new(ListPlan(Arc::new(List::new(Vec::new(), None)))))
    }
}
