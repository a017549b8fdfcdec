use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use serde_json::{Map, Value, json};

use super::{Call, Slots, StepStatus, VisibleResult};
use crate::{
    Limits,
    expr::{self, Segment},
    plan::List,
    state::{Parts, SharedValue},
};

/// The lists, loops and names that enclose a step, innermost first.
#[derive(Debug)]
pub(crate) struct Scope {
    parent: Option<Arc<Scope>>,
    frame: Frame,
}

#[derive(Debug)]
enum Frame {
    /// The ended steps of a list. In a graph, `visible` is the number of the current step, which
    /// sees only the steps before it.
    List { list: Arc<List>, slots: Arc<Slots>, visible: Option<usize> },
    /// An iteration of a loop.
    Loop { item: Arc<Value>, index: Value, is_first: Value, is_last: Value },
    /// Names that a pattern defines, such as `error`.
    Names(Vec<(&'static str, Arc<Value>)>),
}

impl Scope {
    pub(crate) fn list(parent: Option<Arc<Scope>>, list: &Arc<List>, slots: &Arc<Slots>) -> Arc<Self> {
        let frame = Frame::List { list: list.clone(), slots: slots.clone(), visible: None };
        Arc::new(Self { parent, frame })
    }

    /// Creates the scope of step `number` of a graph, which sees only the steps before it.
    pub(crate) fn graph(parent: Option<Arc<Scope>>, list: &Arc<List>, slots: &Arc<Slots>, number: usize) -> Arc<Self> {
        let frame = Frame::List { list: list.clone(), slots: slots.clone(), visible: Some(number) };
        Arc::new(Self { parent, frame })
    }

    pub(crate) fn iteration(parent: Option<Arc<Scope>>, item: Arc<Value>, index: u64, count: Option<u64>) -> Arc<Self> {
        let is_last = count.map_or(Value::Null, |count| Value::Bool(index + 1 == count));
        let frame = Frame::Loop { item, index: index.into(), is_first: (index == 0).into(), is_last };
        Arc::new(Self { parent, frame })
    }

    pub(crate) fn names(parent: Option<Arc<Scope>>, names: Vec<(&'static str, Arc<Value>)>) -> Arc<Self> {
        Arc::new(Self { parent, frame: Frame::Names(names) })
    }
}

/// Resolves names in the expressions of a step.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    call: &'a Call,
    /// The current nesting depth of named conditions.
    depth: u8,
}

type Lookup<'s> = Option<(Cow<'s, Value>, usize)>;

impl<'a> View<'a> {
    pub(crate) fn new(call: &'a Call) -> Self {
        Self { call, depth: 0 }
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.call.run().limits()
    }

    fn frames(&self) -> impl Iterator<Item = &'a Frame> {
        let mut scope = self.call.context.scope.as_deref();
        std::iter::from_fn(move || {
            let current = scope?;
            scope = current.parent.as_deref();
            Some(&current.frame)
        })
    }

    /// Resolves `loop…`; each `parent` refers to the next enclosing loop.
    fn iteration(&self, keys: &[Segment<'_>]) -> Lookup<'a> {
        let outwards = (0..keys.len()).take_while(|at| name_at(keys, *at) == Some("parent")).count();
        let mut loops = self.frames().filter(|frame| matches!(frame, Frame::Loop { .. }));
        let Frame::Loop { item, index, is_first, is_last } = loops.nth(outwards)? else { return None };
        let value = match name_at(keys, outwards) {
            Some("item") => Cow::Borrowed(&**item),
            Some("index") => Cow::Borrowed(index),
            Some("is_first") => Cow::Borrowed(is_first),
            Some("is_last") => Cow::Borrowed(is_last),
            Some(_) => return None,
            None => {
                let whole = json!({"item": **item, "index": index, "is_first": is_first, "is_last": is_last});
                return Some((Cow::Owned(whole), outwards));
            }
        };
        Some((value, outwards + 1))
    }

    fn named(&self, name: &str) -> Option<&'a Value> {
        self.frames().find_map(|frame| match frame {
            Frame::Names(names) => names.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value),
            _ => None,
        })
    }

    /// Returns the visible step `id`: its result, or `None` if it has no result.
    fn visible(&self, id: &str) -> Option<Option<&'a VisibleResult>> {
        self.frames().find_map(|frame| match frame {
            Frame::List { list, slots, visible } => {
                let number = list.number(id)?;
                visible.is_none_or(|by| list.sees(by, number)).then(|| slots.get(number))
            }
            _ => None,
        })
    }

    /// Resolves `steps.ID…`: the step's output, status and error, under unambiguous names.
    fn step(&self, keys: &[Segment<'_>]) -> Lookup<'a> {
        let Some(ended) = self.visible(name_at(keys, 0)?)? else {
            // The step has not run, for example in a route or in the cleanup after a failure.
            let pending = StepStatus::Pending.as_str();
            return match name_at(keys, 1) {
                Some("status") => Some((Cow::Owned(pending.into()), 2)),
                Some("error") => Some((Cow::Owned(Value::Null), 2)),
                Some(_) => None,
                None => Some((Cow::Owned(json!({"output": null, "status": pending, "error": null})), 1)),
            };
        };
        match name_at(keys, 1) {
            Some("output" | "result" | "results") => Some(within(&ended.value, keys, 2)),
            Some("status") => Some((Cow::Owned(ended.status.as_str().into()), 2)),
            Some("error") => Some((Cow::Owned(error_value(ended)), 2)),
            Some(_) => None,
            None => {
                let whole =
                    json!({"output": ended.value, "status": ended.status.as_str(), "error": error_value(ended)});
                Some((Cow::Owned(whole), 1))
            }
        }
    }

    /// Resolves `ID…`, preferably to a field of the output. If the output has no such field,
    /// `result`, `results` and `output` mean the whole output.
    fn bare_step(&self, id: &str, keys: &[Segment<'_>]) -> Lookup<'a> {
        let ended = self.visible(id)??;
        let alias = name_at(keys, 0).filter(|name| matches!(*name, "result" | "results" | "output"));
        let consumed = alias.is_some_and(|name| !has_field(&ended.value, name));
        Some(within(&ended.value, keys, usize::from(consumed)))
    }

    fn state(&self, keys: &[Segment<'_>], skip: usize) -> Lookup<'a> {
        match name_at(keys, skip) {
            Some(key) => {
                let value = self.call.state().shared(key)?;
                // Counting the items of a growing list does not require assembling the list.
                match value.list().filter(|_| name_at(keys, skip + 1) == Some("length")) {
                    Some(list) => Some((Cow::Owned(list.len().into()), skip + 2)),
                    None => Some((Cow::Borrowed(value), skip + 1)),
                }
            }
            None => Some((Cow::Owned(self.call.state().to_value()), skip)),
        }
    }

    /// Resolves `context…`: the state, facts about the run, constants, and fields of the input.
    fn context(&self, keys: &[Segment<'_>]) -> Lookup<'a> {
        match name_at(keys, 0)? {
            "state" => self.state(keys, 1),
            name => self.call.run().context_value(name).map(|value| (value, 1)),
        }
    }

    /// Evaluates a named condition at the position where it is used; a depth limit stops recursion.
    fn condition(&self, keys: &[Segment<'_>]) -> Lookup<'a> {
        let name = name_at(keys, 0)?;
        let expression = self.call.run().plan().condition(name)?;
        let inner = Self { call: self.call, depth: self.depth + 1 };
        if inner.depth > 16 {
            return None;
        }
        let value = expression.test(&inner).unwrap_or_else(|error| {
            let message = format!("the condition `{name}` cannot be evaluated and counts as false: {error}");
            self.call.run().warn("condition_unevaluable", self.call.path(), message);
            false
        });
        Some((Cow::Owned(Value::Bool(value)), 1))
    }
}

fn has_field(value: &SharedValue, name: &str) -> bool {
    match value.parts() {
        Some(Parts::Object(fields)) => fields.iter().any(|(field, _)| field == name),
        Some(_) => false,
        None => value.get(name).is_some(),
    }
}

/// Resolves the keys after the first `skip`, as long as each selects a part of a composite value.
/// No other parts are assembled.
fn within<'s>(value: &'s SharedValue, keys: &[Segment<'_>], skip: usize) -> (Cow<'s, Value>, usize) {
    let part = match (value.parts(), keys.get(skip)) {
        (Some(Parts::Object(fields)), Some(Segment::Name(name))) => {
            fields.iter().find(|(field, _)| field == name).map(|(_, part)| part)
        }
        (Some(Parts::Array(items)), Some(Segment::Index(index))) => {
            usize::try_from(*index).ok().and_then(|index| items.get(index))
        }
        _ => None,
    };
    match part {
        Some(part) => within(part, keys, skip + 1),
        None => (value.read(), skip),
    }
}

fn name_at<'k>(keys: &'k [Segment<'_>], position: usize) -> Option<&'k str> {
    match keys.get(position)? {
        Segment::Name(name) => Some(name),
        Segment::Index(_) => None,
    }
}

fn error_value(ended: &VisibleResult) -> Value {
    ended.error.as_ref().map_or(Value::Null, |error| json!(**error))
}

impl expr::Scope for View<'_> {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        let run = self.call.run();
        match name {
            "input" => return Some((Cow::Borrowed(self.named(name).unwrap_or(run.input())), 0)),
            "task" => return Some((Cow::Borrowed(run.task()), 0)),
            "variables" => {
                let key = name_at(keys, 0);
                return match key {
                    Some(key) => run.variable(key).map(|value| (Cow::Borrowed(value), 1)),
                    None => Some((Cow::Owned(run.variables_value()), 0)),
                };
            }
            "step" if name_at(keys, 0) == Some("started_at") => {
                let started_at = self.call.started_at()?;
                return Some((Cow::Owned(started_at.to_string().into()), 1));
            }
            "steps" | "step" => return self.step(keys),
            "state" => return self.state(keys, 0),
            "context" => return self.context(keys),
            "loop" => return self.iteration(keys),
            "workflow" => return run.workflow_value(name_at(keys, 0)?).map(|value| (value, 1)),
            "run" => return run.run_value(name_at(keys, 0)?).map(|value| (value, 1)),
            "conditions" => return self.condition(keys),
            "env" => return run.env(name_at(keys, 0)?).map(|value| (Cow::Borrowed(value), 1)),
            "secrets" => return run.secret(name_at(keys, 0)?).map(|value| (Cow::Borrowed(value), 1)),
            _ => {}
        }
        self.named(name)
            .map(|value| (Cow::Borrowed(value), 0))
            // No step can have the id of a declared name, but an undeclared field may have any
            // name.
            .or_else(|| self.bare_step(name, keys))
            .or_else(|| {
                let value = run.input().get(name).or_else(|| run.parameter(name)).or_else(|| run.variable(name))?;
                Some((Cow::Borrowed(value), 0))
            })
            .or_else(|| self.call.state().key(name).map(|value| (Cow::Borrowed(value), 0)))
            .or_else(|| {
                self.call
                    .run()
                    .plan()
                    .has_condition(name)
                    .then(|| self.condition(&[Segment::Name(name.into())]))
                    .flatten()
                    .map(|(value, _)| (value, 0))
            })
    }

    fn available(&self) -> Vec<String> {
        let run = self.call.run();
        let mut names: Vec<String> = Vec::new();
        let fields = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
        for frame in self.frames() {
            match frame {
                Frame::List { list, slots, visible } => {
                    let ended = list.ids().filter(|(number, _)| {
                        slots.get(*number).is_some() && visible.is_none_or(|by| list.sees(by, *number))
                    });
                    names.extend(ended.map(|(_, id)| id.to_owned()));
                }
                Frame::Loop { .. } => names.extend(["loop.item".to_owned(), "loop.index".to_owned()]),
                Frame::Names(known) => names.extend(known.iter().map(|(name, _)| (*name).to_owned())),
            }
        }
        let input: Vec<String> = fields(run.input());
        names.extend(input);
        names.extend(run.variable_names());
        names.extend(self.call.state().keys().filter(|key| *key != "$input").map(|key| {
            let mut name = String::from("state.");
            let _ = write!(name, "{key}");
            name
        }));
        names.extend(["input", "variables", "steps", "state", "context", "run"].map(str::to_owned));
        names
    }
}

/// Converts `entries` to an object.
pub(crate) fn object<'m>(entries: impl Iterator<Item = (&'m str, &'m Value)>) -> Value {
    Value::Object(entries.map(|(name, value)| (name.to_owned(), value.clone())).collect::<Map<_, _>>())
}
