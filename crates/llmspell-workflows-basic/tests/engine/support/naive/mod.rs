//! A plain walk over the model: one step after the other, on values only. What the engine does must come to the same.

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

/// What a walk has come by.
#[derive(Default)]
pub(crate) struct Naive {
    /// How each step ended, and in how many attempts, by path.
    pub(crate) ended: BTreeMap<String, (&'static str, u32)>,
    /// Whether a graph's steps disagreed before all had ended, which leaves open which others ran.
    pub(crate) disagreed: bool,
    generations: BTreeMap<String, u32>,
}

/// What a step sees.
#[derive(Clone)]
struct Env {
    input: Value,
    state: WorkflowState,
    steps: Map<String, Value>,
    iteration: Value,
}

/// Where a step stands.
#[derive(Clone)]
struct At(String, String, u32);

type Given = Result<(Value, Vec<Change>), StepError>;

enum End {
    Given(Value, Vec<Change>),
    Skipped,
    Handled,
    Failed(StepError),
}

impl At {
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

    fn see(&mut self, id: &str, end: &End) {
        let (status, output) = match end {
            End::Given(value, _) => ("completed", value.clone()),
            End::Skipped => ("skipped", Value::Null),
            End::Handled | End::Failed(_) => ("failed", Value::Null),
        };
        self.steps.insert(id.to_owned(), json!({"output": output, "status": status}));
    }
}

impl Naive {
    /// Runs `definition`: its output and what it changed, or its error.
    pub(crate) fn run(&mut self, definition: &Definition, input: &Value) -> Given {
        let env = Env {
            input: input.clone(),
            state: WorkflowState::new(input.clone()),
            steps: Map::new(),
            iteration: Value::Null,
        };
        let main = Step::new("main", definition.body.clone());
        match self.step(&main, At(String::new(), "main".into(), 1), &env) {
            End::Given(value, changes) => {
                Ok((definition.outputs.as_ref().map_or(Ok(value), |o| env.render(o))?, changes))
            }
            End::Failed(error) => Err(error),
            End::Skipped | End::Handled => panic!("the root step has no condition and handles nothing"),
        }
    }

    fn step(&mut self, step: &Step, at: At, env: &Env) -> End {
        let path = at.show("");
        if step.condition.as_ref().is_some_and(|condition| !env.holds(condition)) {
            self.ended.insert(path, ("skipped", 1));
            return End::Skipped;
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
        self.ended.insert(path.clone(), (if given.is_ok() { "completed" } else { "failed" }, attempt));
        // Errors of two steps differ at least in their paths, which decides whether branches disagree.
        let given = given.map_err(|error| StepError { path: error.path.or(Some(path)), ..error });
        match given {
            Ok((value, changes)) => End::Given(value, changes),
            Err(_) if step.on_error == OnError::Continue => End::Handled,
            Err(error) => End::Failed(error),
        }
    }

    fn next_generation(&mut self, at: &At) -> u32 {
        let last = self.generations.entry(format!("{}/{}", at.0, at.1)).or_insert(1);
        *last = at.2.max(*last) + 1;
        *last
    }

    fn perform(&mut self, step: &Step, at: &At, env: &Env, attempt: u32) -> Given {
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

    fn block(&mut self, id: &str, iteration: &str, steps: &Steps, at: &At, env: &Env) -> Given {
        if steps.is_empty() {
            return Ok((Value::Null, Vec::new()));
        }
        let inner = At(at.show(""), format!("{id}{iteration}"), 1);
        self.noted(inner.show(""), |naive| naive.sequence(steps, &inner, env))
    }

    fn sequence(&mut self, steps: &Steps, at: &At, env: &Env) -> Given {
        self.perform(&Step::new("", StepKind::Sequence(steps.clone())), at, env, 1)
    }

    fn noted(&mut self, path: String, run: impl FnOnce(&mut Self) -> Given) -> Given {
        let given = run(self);
        self.ended.insert(path, (if given.is_ok() { "completed" } else { "failed" }, 1));
        given
    }

    fn list(&mut self, steps: &Steps, at: &At, env: &Env) -> Given {
        let (mut env, mut last, mut all, mut failed) = (env.clone(), Value::Null, Vec::new(), None);
        for step in steps {
            if failed.is_some() && !matches!(step.trigger_rule, TriggerRule::Always | TriggerRule::AllDone) {
                continue;
            }
            let end = self.step(step, at.child(&step.id), &env);
            env.see(&step.id, &end);
            match end {
                End::Given(value, changes) => {
                    env.apply(&changes);
                    all.extend(changes);
                    last = value;
                }
                End::Failed(error) => failed = failed.or(Some(error)),
                End::Skipped | End::Handled => {}
            }
        }
        failed.map_or(Ok((last, all)), Err)
    }

    /// Generated steps depend on earlier ones only, so the order of the list is one in which they can run.
    fn graph(&mut self, steps: &Steps, at: &At, env: &Env) -> Given {
        let mut ends: BTreeMap<&str, (End, BTreeSet<usize>)> = BTreeMap::new();
        let (mut changes, mut before): (Vec<Vec<Change>>, Vec<BTreeSet<usize>>) = Default::default();
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
                    self.disagreed = true;
                    return Err(error);
                }
            }
            for number in &earlier {
                env.see(&steps[*number].id, &ends[steps[*number].id.as_str()].0);
            }
            let of: Vec<_> = step.dependencies.iter().map(|id| &ends[id.as_str()].0).collect();
            let count = |test: fn(&End) -> bool| of.iter().filter(|end| test(end)).count();
            let failures = count(|end| matches!(end, End::Failed(_)));
            let successes = count(|end| matches!(end, End::Given(..) | End::Handled));
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
                self.ended.insert(at.child(&step.id).show(""), ("skipped", 1));
                End::Skipped
            };
            changes.push(if let End::Given(_, changes) = &end { changes.clone() } else { Vec::new() });
            before.push(earlier.clone());
            ends.insert(&step.id, (end, earlier));
        }
        let ends: Vec<End> = steps.iter().map(|step| ends.remove(step.id.as_str()).unwrap().0).collect();
        let mut last = Value::Null;
        for end in ends {
            match end {
                End::Failed(error) => return Err(error),
                End::Given(value, _) => last = value,
                End::Skipped | End::Handled => {}
            }
        }
        Ok((last, merged(&(0..steps.len()).collect(), &changes, &before)?))
    }

    fn route(&mut self, route: &Route, at: &At, env: &Env) -> Given {
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
                End::Given(value, changes) => {
                    env.apply(&changes);
                    all.extend(changes);
                    last = value;
                }
                End::Failed(error) => return Err(error),
                End::Skipped | End::Handled => {}
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
    let unnamed = retry.on_errors.is_empty() && retry.on_status_codes.is_empty();
    if unnamed { error.retryable } else { retry.on_errors.iter().any(named) }
}

/// What `steps` changed; two of them that know nothing of each other must agree on each key that none sets after them.
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
