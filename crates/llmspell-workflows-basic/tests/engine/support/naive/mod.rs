//! A naive sequential interpreter of the model, whose results the engine must match.

mod blocks;

use std::collections::{BTreeMap, BTreeSet};

use llmspell_workflows_basic::{
    ErrorClass, StepError, WorkflowState,
    expr::{Expr, Template},
    model::*,
    state::Change,
};
use serde_json::{Map, Value, json};

use llmspell_workflows_testing::generate::probe;

/// The interpreter and its records.
#[derive(Default)]
pub(crate) struct Naive {
    /// The status and number of attempts of each step, by path.
    pub(crate) statuses: BTreeMap<String, (&'static str, u32)>,
    /// Whether a graph had a conflict before all of its steps had ended. If so, it is undefined which other steps ran.
    pub(crate) conflicted: bool,
    generations: BTreeMap<String, u32>,
}

/// The environment of a step.
#[derive(Clone)]
struct Env {
    input: Value,
    state: WorkflowState,
    steps: Map<String, Value>,
    iteration: Value,
}

/// The parent path, id and generation of a step.
#[derive(Clone)]
struct StepLocation(String, String, u32);

type StepResult = Result<(Value, Vec<Change>), StepError>;

enum StepEnd {
    Completed(Value, Vec<Change>),
    Skipped,
    Handled,
    Failed(StepError),
}

impl StepLocation {
    fn show(&self, iteration: &str) -> String {
        let generation = if self.2 > 1 { format!("~{}", self.2) } else { String::new() };
        format!("{}/{}{iteration}{generation}", self.0, self.1)
    }

    fn child(&self, id: &str) -> Self {
        Self(self.show(""), id.to_owned(), 1)
    }
}

impl Env {
    fn scope(&self) -> Value {
        json!({"input": self.input, "steps": self.steps, "state": self.state.to_value(), "loop": self.iteration})
    }

    fn test(&self, condition: &str) -> Result<bool, StepError> {
        Ok(Expr::parse(condition).unwrap().test(&self.scope())?)
    }

    fn holds(&self, condition: &str) -> bool {
        self.test(condition).unwrap_or(false)
    }

    fn render(&self, value: &Value) -> Result<Value, StepError> {
        Ok((*Template::parse(value).unwrap().render(&self.scope())?).clone())
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.state.apply(change.clone(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        }
    }

    fn see(&mut self, id: &str, end: &StepEnd) {
        let (status, output) = match end {
            StepEnd::Completed(value, _) => ("completed", value.clone()),
            StepEnd::Skipped => ("skipped", Value::Null),
            StepEnd::Handled | StepEnd::Failed(_) => ("failed", Value::Null),
        };
        self.steps.insert(id.to_owned(), json!({"output": output, "status": status}));
    }
}

impl Naive {
    /// Runs `definition`; returns its output and state changes, or its error.
    pub(crate) fn run(&mut self, definition: &Definition, input: &Value) -> StepResult {
        let env = Env {
            input: input.clone(),
            state: WorkflowState::new(input.clone()),
            steps: Map::new(),
            iteration: Value::Null,
        };
        let main = Step::new("main", definition.body.clone());
        match self.step(&main, StepLocation(String::new(), "main".into(), 1), &env) {
            StepEnd::Completed(value, changes) => {
                Ok((definition.outputs.as_ref().map_or(Ok(value), |o| env.render(o))?, changes))
            }
            StepEnd::Failed(error) => Err(error),
            StepEnd::Skipped | StepEnd::Handled => panic!("the root step has neither a condition nor a handler"),
        }
    }

    fn step(&mut self, step: &Step, at: StepLocation, env: &Env) -> StepEnd {
        let path = at.show("");
        if step.condition.as_ref().is_some_and(|condition| !env.holds(condition)) {
            self.statuses.insert(path, ("skipped", 1));
            return StepEnd::Skipped;
        }
        let attempts_max = step.retry.as_ref().map_or(1, |retry| retry.attempts_max.max(1));
        let mut attempt = 1;
        let given = loop {
            let mut at = at.clone();
            if attempt > 1 && !step.kind.is_leaf() {
                at.2 = self.next_generation(&at);
            }
            match self.perform(step, &at, env, attempt) {
                Err(error) if attempt < attempts_max && is_retryable(step.retry.as_ref().unwrap(), &error) => {
                    attempt += 1
                }
                given => break given,
            }
        };
        self.statuses.insert(path.clone(), (if given.is_ok() { "completed" } else { "failed" }, attempt));
        // Two steps' errors differ at least in their paths, and this difference determines whether two
        // branches' values conflict.
        let given = given.map_err(|error| StepError { path: error.path.or(Some(path)), ..error });
        match given {
            Ok((value, changes)) => StepEnd::Completed(value, changes),
            Err(_) if step.on_error == OnError::Continue => StepEnd::Handled,
            Err(error) => StepEnd::Failed(error),
        }
    }

    fn next_generation(&mut self, at: &StepLocation) -> u32 {
        let last = self.generations.entry(format!("{}/{}", at.0, at.1)).or_insert(1);
        *last = at.2.max(*last) + 1;
        *last
    }

    fn perform(&mut self, step: &Step, at: &StepLocation, env: &Env, attempt: u32) -> StepResult {
        match &step.kind {
            StepKind::Activity(call) => Ok((probe(&env.render(&call.params)?, attempt)?, Vec::new())),
            StepKind::Set(values) => {
                let values = env.render(&Value::Object(values.clone()))?;
                let changes = values.as_object().unwrap().iter().map(|(k, v)| Change::key(k, v.clone())).collect();
                Ok((values, changes))
            }
            StepKind::Sleep(Delay::Fixed(length)) => {
                let until = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + *length;
                Ok((json!({"slept_until": until.to_string()}), Vec::new()))
            }
            StepKind::Validate(validate) => Ok((env.render(&validate.data)?, Vec::new())),
            StepKind::Sequence(steps) if steps.iter().any(|step| !step.dependencies.is_empty()) => {
                self.graph(steps, at, env)
            }
            StepKind::Sequence(steps) => self.list(steps, at, env),
            StepKind::Conditional(inner) if env.holds(&inner.condition) => self.block("then", "", &inner.then, at, env),
            StepKind::Conditional(inner) => self.block("else", "", &inner.otherwise, at, env),
            StepKind::Switch(switch) => match switch.cases.iter().position(|case| env.holds(&case.when)) {
                Some(n) => self.block("case", &format!("[{n}]"), &switch.cases[n].steps, at, env),
                None => self.block("default", "", &switch.default, at, env),
            },
            StepKind::Route(route) => self.route(route, at, env),
            StepKind::Loop(settings) => self.repeat(settings, at, env),
            StepKind::Parallel(parallel) => self.parallel(parallel, at, env),
            other => panic!("{other:?} is not generated"),
        }
    }

    fn block(&mut self, id: &str, iteration: &str, steps: &Steps, at: &StepLocation, env: &Env) -> StepResult {
        if steps.is_empty() {
            return Ok((Value::Null, Vec::new()));
        }
        let inner = StepLocation(at.show(""), format!("{id}{iteration}"), 1);
        self.record(inner.show(""), |naive| naive.sequence(steps, &inner, env))
    }

    fn sequence(&mut self, steps: &Steps, at: &StepLocation, env: &Env) -> StepResult {
        self.perform(&Step::new("", StepKind::Sequence(steps.clone())), at, env, 1)
    }

    fn record(&mut self, path: String, run: impl FnOnce(&mut Self) -> StepResult) -> StepResult {
        let given = run(self);
        self.statuses.insert(path, (if given.is_ok() { "completed" } else { "failed" }, 1));
        given
    }

    fn list(&mut self, steps: &Steps, at: &StepLocation, env: &Env) -> StepResult {
        let (mut env, mut last, mut all, mut failed) = (env.clone(), Value::Null, Vec::new(), None);
        for step in steps {
            if failed.is_some() && !matches!(step.trigger_rule, TriggerRule::Always | TriggerRule::AllDone) {
                continue;
            }
            let end = self.step(step, at.child(&step.id), &env);
            env.see(&step.id, &end);
            match end {
                StepEnd::Completed(value, changes) => {
                    env.apply(&changes);
                    all.extend(changes);
                    last = value;
                }
                StepEnd::Failed(error) => failed = failed.or(Some(error)),
                StepEnd::Skipped | StepEnd::Handled => {}
            }
        }
        failed.map_or(Ok((last, all)), Err)
    }

    /// Generated steps depend only on earlier steps, so the list order is a valid execution order.
    fn graph(&mut self, steps: &Steps, at: &StepLocation, env: &Env) -> StepResult {
        let mut ends: BTreeMap<&str, (StepEnd, BTreeSet<usize>)> = BTreeMap::new();
        let (mut changes, mut before): (Vec<Vec<Change>>, Vec<BTreeSet<usize>>) = Default::default();
        let mut blocked: BTreeSet<&str> = BTreeSet::new();
        for step in steps {
            let mut earlier = BTreeSet::new();
            for id in &step.dependencies {
                let number = steps.iter().position(|other| other.id == *id).unwrap();
                earlier.extend(before[number].iter().copied().chain([number]));
            }
            let mut env = env.clone();
            match merged(&earlier, &changes, &before) {
                Ok(changes) => env.apply(&changes),
                Err(error) => {
                    self.conflicted = true;
                    return Err(error);
                }
            }
            for number in &earlier {
                env.see(&steps[*number].id, &ends[steps[*number].id.as_str()].0);
            }
            let of: Vec<_> = step.dependencies.iter().map(|id| (id.as_str(), &ends[id.as_str()].0)).collect();
            let has_failed = |(id, end): &&(&str, &StepEnd)| matches!(end, StepEnd::Failed(_)) || blocked.contains(id);
            let failures = of.iter().filter(has_failed).count();
            let has_succeeded = |(_, end): &&(&str, &StepEnd)| matches!(end, StepEnd::Completed(..) | StepEnd::Handled);
            let successes = of.iter().filter(has_succeeded).count();
            let runs = match step.trigger_rule {
                _ if of.is_empty() => true,
                TriggerRule::NoneFailedMinOneSuccess => failures == 0 && successes > 0,
                TriggerRule::AllSuccess => successes == of.len(),
                TriggerRule::OneSuccess => successes > 0,
                TriggerRule::AllDone | TriggerRule::Always => true,
            };
            let end = if runs {
                self.step(step, at.child(&step.id), &env)
            } else {
                if failures > 0 {
                    blocked.insert(&step.id);
                }
                self.statuses.insert(at.child(&step.id).show(""), ("skipped", 1));
                StepEnd::Skipped
            };
            changes.push(if let StepEnd::Completed(_, changes) = &end { changes.clone() } else { Vec::new() });
            before.push(earlier.clone());
            ends.insert(&step.id, (end, earlier));
        }
        let ends: Vec<StepEnd> = steps.iter().map(|step| ends.remove(step.id.as_str()).unwrap().0).collect();
        let mut last = Value::Null;
        for end in ends {
            match end {
                StepEnd::Failed(error) => return Err(error),
                StepEnd::Completed(value, _) => last = value,
                StepEnd::Skipped | StepEnd::Handled => {}
            }
        }
        Ok((last, merged(&(0..steps.len()).collect(), &changes, &before)?))
    }

    fn route(&mut self, route: &Route, at: &StepLocation, env: &Env) -> StepResult {
        let (mut env, mut last, mut all) = (env.clone(), Value::Null, Vec::new());
        let mut current = route.start.clone();
        let mut entered = BTreeSet::new();
        for _ in 0..=route.transitions_max.unwrap() {
            let step = route.steps.iter().find(|step| step.id == current).unwrap();
            let mut child = at.child(&step.id);
            if !entered.insert(current.clone()) {
                child.2 = self.next_generation(&child);
            }
            let end = self.step(step, child, &env);
            env.see(&step.id, &end);
            match end {
                StepEnd::Completed(value, changes) => {
                    env.apply(&changes);
                    all.extend(changes);
                    last = value;
                }
                StepEnd::Failed(error) => return Err(error),
                StepEnd::Skipped | StepEnd::Handled => {}
            }
            let next = step.next.iter().find(|next| next.condition.as_ref().is_none_or(|text| env.holds(text)));
            match next.and_then(|next| next.target.clone()) {
                Some(target) => current = target,
                None => return Ok((last, all)),
            }
        }
        Err(StepError::new(ErrorClass::Resource, "transitions_max", "").retryable(false))
    }
}

fn is_retryable(retry: &Retry, error: &StepError) -> bool {
    let named = |name: &String| *name == error.code || name == error.class.as_str();
    let unnamed = retry.on_errors.is_empty() && retry.on_status_codes.is_empty() && retry.on_exit_codes.is_empty();
    if unnamed { error.retryable } else { retry.on_errors.iter().any(named) }
}

/// Merges the changes of `steps`; independent steps must set a key to the same value unless a later step sets it again.
fn merged(
    steps: &BTreeSet<usize>,
    changes: &[Vec<Change>],
    before: &[BTreeSet<usize>],
) -> Result<Vec<Change>, StepError> {
    let mut last: BTreeMap<String, Vec<(usize, &Value)>> = BTreeMap::new();
    for &step in steps {
        for change in &changes[step] {
            let setters = last.entry(change.path.to_string()).or_default();
            setters.retain(|(other, _)| *other != step && !before[step].contains(other));
            setters.push((step, change.value().unwrap()));
        }
    }
    if last.values().any(|setters| setters.iter().any(|(_, value)| *value != setters[0].1)) {
        return Err(StepError::validation("state_conflict", ""));
    }
    Ok(steps.iter().flat_map(|step| changes[*step].clone()).collect())
}
