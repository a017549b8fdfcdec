//! Converts a plan to a definition: adds ids and references to visible steps.

use std::sync::Arc;

use llmspell_workflows_basic::model::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::{
    FUNCTION, LIMIT,
    plan::{self, Head, Join, Kind, Plan, Settings},
};

pub(super) fn definition(head: Head, body: Kind) -> Definition {
    let mut writer = Writer { steps: 0, keys: 0 };
    let mut definition = Definition::new("generated", writer.kind(body, &[]));
    definition.version = head.version.unwrap_or_default();
    definition.description = head.description.unwrap_or_default();
    let input =
        |kind, default| InputSpec { kind: Some(kind), required: false, default: Some(default), description: None };
    definition.inputs.insert("n".into(), input(InputType::Integer, 2.into()));
    definition.inputs.insert("items".into(), input(InputType::Array, json!([1, 2])));
    for (index, value) in head.variables.into_iter().enumerate() {
        definition.variables.insert(format!("v{index}"), value);
    }
    for (index, value) in head.context.into_iter().enumerate() {
        definition.context.insert(format!("c{index}"), value);
    }
    if let Some(value) = head.environment.filter(|_| !definition.variables.is_empty()) {
        definition.environments.entry("test".into()).or_default().insert("v0".into(), value);
    }
    if head.condition {
        definition.conditions.insert("is_large".into(), "input.n > 5".into());
    }
    definition.total_timeout = head.total_timeout;
    definition.retry_budget = head.retry_budget;
    definition.concurrency.insert(LIMIT.into(), 2);
    definition.outputs = head.outputs.then(|| json!({"n": "{{ input.n }}"}));
    definition
}

struct Writer {
    steps: usize,
    keys: usize,
}

impl Writer {
    fn id(&mut self) -> String {
        self.steps += 1;
        format!("s{}", self.steps)
    }

    /// Returns a step that can refer to the steps in `seen`.
    fn step(&mut self, plan: Plan, seen: &[String]) -> Step {
        let Plan { settings, kind } = plan;
        let Settings { name, condition, retry, timeout, goes_on, is_limited, .. } = settings;
        let id = self.id();
        let kind = self.kind(kind, seen);
        let is_limited = is_limited && matches!(kind, StepKind::Activity(_));
        Step {
            name,
            condition: condition.map(|pick| expression(pick, seen)),
            retry,
            timeout,
            on_error: if goes_on { OnError::Continue } else { OnError::Fail },
            limits: if is_limited { vec![LIMIT.into()] } else { Vec::new() },
            ..Step::new(id, kind)
        }
    }

    /// Returns steps in order; each step sees the steps before it.
    fn list(&mut self, plans: Vec<Plan>, seen: &[String]) -> Steps {
        let mut seen = seen.to_vec();
        let mut steps = Steps::new();
        for plan in plans {
            // The other trigger rules apply only to dependencies and would be rejected here.
            let rule = Some(plan.settings.trigger_rule)
                .filter(|rule| matches!(rule, TriggerRule::AllDone | TriggerRule::Always));
            let step = Step { trigger_rule: rule.unwrap_or_default(), ..self.step(plan, &seen) };
            seen.push(step.id.clone());
            steps.push(Arc::new(step));
        }
        steps
    }

    /// Returns steps that depend on some of the steps before them, and see only their dependencies.
    fn graph(&mut self, plans: Vec<Plan>, seen: &[String]) -> Steps {
        let mut steps: Vec<Step> = Vec::new();
        let rules: Vec<_> = plans.iter().map(|plan| plan.settings.trigger_rule).collect();
        for plan in plans {
            let mut dependencies: Vec<String> = Vec::new();
            for pick in plan.settings.picks.iter().filter(|_| !steps.is_empty()) {
                let id = &steps[pick.index(steps.len())].id;
                if !dependencies.contains(id) {
                    dependencies.push(id.clone());
                }
            }
            let seen: Vec<_> = seen.iter().chain(&dependencies).cloned().collect();
            let trigger_rule =
                if dependencies.is_empty() { TriggerRule::default() } else { plan.settings.trigger_rule };
            steps.push(Step { dependencies, trigger_rule, ..self.step(plan, &seen) });
        }
        // Without dependencies, the steps form a sequence, in which these trigger rules have no effect.
        if steps.iter().any(|step| !step.dependencies.is_empty()) {
            steps.iter_mut().zip(rules).for_each(|(step, rule)| step.trigger_rule = rule);
        }
        steps.into_iter().map(Arc::new).collect()
    }

    fn kind(&mut self, kind: Kind, seen: &[String]) -> StepKind {
        match kind {
            Kind::Function(params, sees) => {
                let params = json!({"value": params, "sees": reference(sees, seen)});
                Step::function("", FUNCTION, params).kind
            }
            Kind::Plain(kind) => kind,
            Kind::Set(values, sees) => self.set(values, &reference(sees, seen)),
            Kind::Sequence { steps, is_graph: true } => StepKind::Sequence(self.graph(steps, seen)),
            Kind::Sequence { steps, is_graph: false } => StepKind::Sequence(self.list(steps, seen)),
            Kind::Conditional { condition, then, otherwise } => StepKind::Conditional(Conditional {
                condition: expression(condition, seen),
                then: self.list(then, seen),
                otherwise: self.list(otherwise, seen),
            }),
            Kind::Switch { cases, default } => StepKind::Switch(Switch {
                cases: cases
                    .into_iter()
                    .map(|(pick, steps)| Case { when: expression(pick, seen), steps: self.list(steps, seen) })
                    .collect(),
                default: self.list(default, seen),
            }),
            Kind::Route { steps, transitions_max } => self.route(steps, transitions_max, seen),
            Kind::Loop { over, steps, parallelism, max_iterations, on_error } => StepKind::Loop(Loop {
                over: items(over),
                steps: self.list(steps, seen),
                mode: if parallelism.is_some() { IterationMode::Parallel } else { IterationMode::Sequential },
                max_parallelism: parallelism,
                max_iterations,
                on_conflict: OnConflict::default(),
                until: None,
                on_error,
            }),
            Kind::Parallel { branches, join } => self.parallel(branches, join, seen),
        }
    }

    fn set(&mut self, values: Vec<Value>, reference: &str) -> StepKind {
        let mut map = Map::new();
        for value in values {
            self.keys += 1;
            map.insert(format!("k{}", self.keys), value);
        }
        map.insert("seen".into(), reference.into());
        StepKind::Set(map)
    }

    /// Returns a route whose steps do not see each other, since any of them may run first.
    fn route(&mut self, plans: Vec<Plan>, transitions_max: u32, seen: &[String]) -> StepKind {
        let picks: Vec<_> = plans.iter().map(|plan| plan.settings.picks.clone()).collect();
        let mut steps: Vec<_> = plans.into_iter().map(|plan| self.step(plan, seen)).collect();
        let ids: Vec<_> = steps.iter().map(|step| step.id.clone()).collect();
        for (step, picks) in steps.iter_mut().zip(picks) {
            step.next = picks
                .into_iter()
                .map(|pick| Transition {
                    condition: Some(expression(pick, seen)),
                    target: Some(pick.index(ids.len() + 1)).filter(|at| *at < ids.len()).map(|at| ids[at].clone()),
                })
                .collect();
        }
        let steps = steps.into_iter().map(Arc::new).collect();
        StepKind::Route(Route { start: ids[0].clone(), steps, transitions_max: Some(transitions_max) })
    }

    fn parallel(&mut self, plans: Vec<Plan>, join: Join, seen: &[String]) -> StepKind {
        let branch = |plan: Plan| {
            let required = plan.settings.required;
            Branch { step: Arc::new(self.step(plan, seen)), required }
        };
        let branches = plans.into_iter().map(branch).collect();
        let Join { max_parallelism, error_mode, aggregation, output, on_conflict, branch_timeout } = join;
        StepKind::Parallel(Parallel {
            branches,
            max_parallelism,
            error_mode,
            aggregation,
            output,
            on_conflict,
            branch_timeout,
        })
    }
}

fn items(over: plan::Over) -> LoopSource {
    match over {
        plan::Over::Items(items) => LoopSource::Items(items.into()),
        plan::Over::InputItems => LoopSource::Items("{{ input.items }}".into()),
        plan::Over::Range(start, end, step) => {
            LoopSource::Range { start: start.into(), end: end.into(), step: step.into() }
        }
        plan::Over::While => LoopSource::While("loop.index < input.n".into()),
    }
}

/// Returns an expression over the input, the state or one of the steps in `seen`.
fn expression(pick: Index, seen: &[String]) -> String {
    const FIXED: [&str; 5] =
        ["input.n > 1", "input.n === 7", "state.k1 == null", "input.items.length > 0 && !false", "true"];
    match pick.index(FIXED.len() + seen.len()).checked_sub(FIXED.len()) {
        Some(at) => format!("steps.{}.output != null", seen[at]),
        None => FIXED[pick.index(FIXED.len() + seen.len())].to_owned(),
    }
}

/// Returns a reference to the input or to one of the steps in `seen`.
fn reference(pick: Index, seen: &[String]) -> String {
    match pick.index(1 + seen.len()).checked_sub(1) {
        Some(at) => format!("{{{{ steps.{}.output }}}}", seen[at]),
        None => "{{ input.n }}".to_owned(),
    }
}
