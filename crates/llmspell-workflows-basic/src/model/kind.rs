use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::*;

/// The kind of a step, which determines what the step does.
///
/// The enum is deliberately exhaustive: if a kind is added, crates that write or draw every kind do
/// not compile until they handle the new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Calls an activity. No other kind has a direct effect outside the run.
    Activity(ActivityCall),
    /// Runs steps in order, or as a graph if any of them have dependencies.
    Sequence(Steps),
    /// Runs one of two lists.
    Conditional(Conditional),
    /// Runs the list of the first case whose condition is true.
    Switch(Switch),
    /// Follows transitions from step to step, possibly back to an earlier step.
    Route(Route),
    /// Runs a list once for each item or number, or while a condition is true.
    Loop(Loop),
    /// Runs branches at the same time and joins them.
    Parallel(Parallel),
    /// Sets keys of the run's state; the object is also the output.
    Set(Map<String, Value>),
    /// Waits for a duration.
    Sleep(Delay),
    /// Waits for a signal.
    WaitForEvent(WaitForEvent),
    /// Runs another definition as a child run.
    Workflow(SubWorkflow),
    /// Checks data against a schema and assertions.
    Validate(Validate),
}

/// The properties of a step kind on which layers, hooks, records, drawings and generators depend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindTraits {
    /// The name of the kind in the YAML dialect.
    pub name: &'static str,
    /// How a step of this kind runs its inner steps.
    pub pattern: Pattern,
    /// The effect of a step of this kind outside the run.
    pub effect: Effect,
    /// Whether a step of this kind waits for a signal, and therefore applies its `timeout` itself.
    pub waits_for_signal: bool,
    /// Whether a step of this kind changes the run's state itself; see [`StepKind::state_keys`].
    pub sets_state: bool,
    /// Whether a step of this kind, as the root step, applies the definition's `outputs` itself,
    /// because they may refer to its inner steps.
    pub applies_outputs: bool,
    /// The fields of the output, if they are the same for all steps of this kind.
    pub output: Option<&'static [&'static str]>,
    /// The fields that affect only how a step of this kind uses the results of its inner steps;
    /// `FIELD/VARIANT` for one variant of a field.
    pub conclusion: &'static [&'static str],
}

/// How a kind runs its inner steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The kind does not run other steps.
    Leaf,
    /// Each step runs once, in order or as the dependencies allow.
    List,
    /// One of several lists runs.
    Choice,
    /// The steps run one after the other, following their transitions.
    Route,
    /// The list runs once for each iteration.
    Loop,
    /// All steps run at the same time.
    Parallel,
}

/// The effect of a kind outside the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The kind has no effect.
    None,
    /// The kind calls an activity with an input.
    Activity,
    /// The kind starts another run with an input.
    Workflow,
}

/// The keys of the state that a step may set itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateKeys {
    /// Only these keys.
    Known(Vec<String>),
    /// Any keys; the step's definition does not determine them.
    Any,
}

/// Steps inside a step that run as one list, route or set of branches.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The path segment between the enclosing step and these steps, such as `then`; `None` if the steps are directly
    /// inside the enclosing step.
    pub segment: Option<Cow<'static, str>>,
    /// The expression that chooses these steps; `None` if they always run, or if they run when no
    /// other group was chosen.
    pub when: Option<&'a str>,
    /// The steps, in definition order.
    pub steps: Vec<&'a Arc<Step>>,
}

impl KindTraits {
    const fn leaf(name: &'static str) -> Self {
        Self {
            name,
            pattern: Pattern::Leaf,
            effect: Effect::None,
            waits_for_signal: false,
            sets_state: false,
            applies_outputs: false,
            output: None,
            conclusion: &[],
        }
    }

    const fn composite(name: &'static str, pattern: Pattern) -> Self {
        Self { pattern, applies_outputs: true, ..Self::leaf(name) }
    }
}

impl Pattern {
    /// Returns whether the steps run on copies of the state, which are joined at the end.
    #[must_use]
    pub fn joins(self) -> bool {
        matches!(self, Self::Loop | Self::Parallel)
    }
}

/// The steps inside a kind, as stored in the kind's type.
enum Contents<'a> {
    Nothing,
    Steps(&'a Steps),
    Conditional(&'a Conditional),
    Cases(&'a [Case], &'a Steps),
    Branches(&'a [Branch]),
}

impl StepKind {
    /// Returns the traits of the kind and the steps inside it.
    fn row(&self) -> (&'static KindTraits, Contents<'_>) {
        use KindTraits as K;
        match self {
            Self::Activity(_) => {
                (const { &K { effect: Effect::Activity, sets_state: true, ..K::leaf("activity") } }, Contents::Nothing)
            }
            Self::Set(_) => (const { &K { sets_state: true, ..K::leaf("set") } }, Contents::Nothing),
            Self::Sleep(_) => (const { &K { output: Some(&["slept_until"]), ..K::leaf("sleep") } }, Contents::Nothing),
            Self::WaitForEvent(_) => (
                const {
                    &K {
                        waits_for_signal: true,
                        output: Some(&["name", "data", "timed_out"]),
                        ..K::leaf("wait_for_event")
                    }
                },
                Contents::Nothing,
            ),
            Self::Workflow(_) => (const { &K { effect: Effect::Workflow, ..K::leaf("workflow") } }, Contents::Nothing),
            Self::Validate(_) => (const { &K::leaf("validate") }, Contents::Nothing),
            Self::Sequence(steps) => (const { &K::composite("sequence", Pattern::List) }, Contents::Steps(steps)),
            Self::Conditional(choice) => (
                const { &K { applies_outputs: false, ..K::composite("conditional", Pattern::Choice) } },
                Contents::Conditional(choice),
            ),
            Self::Switch(choice) => (
                const { &K { applies_outputs: false, ..K::composite("switch", Pattern::Choice) } },
                Contents::Cases(&choice.cases, &choice.default),
            ),
            Self::Route(route) => (
                const { &K { conclusion: &["transitions_max"], ..K::composite("route", Pattern::Route) } },
                Contents::Steps(&route.steps),
            ),
            Self::Loop(inner) => (
                const {
                    &K {
                        output: Some(&["iterations", "total_count", "failed_count", "errors", "results"]),
                        conclusion: &[
                            "over/while",
                            "max_parallelism",
                            "max_iterations",
                            "until",
                            "on_error",
                            "on_conflict",
                        ],
                        ..K::composite("loop", Pattern::Loop)
                    }
                },
                Contents::Steps(&inner.steps),
            ),
            Self::Parallel(parallel) => (
                const {
                    &K {
                        conclusion: &[
                            "max_parallelism",
                            "error_mode",
                            "aggregation",
                            "output",
                            "on_conflict",
                            "branch_timeout",
                        ],
                        ..K::composite("parallel", Pattern::Parallel)
                    }
                },
                Contents::Branches(&parallel.branches),
            ),
        }
    }

    /// Returns the traits of the kind.
    #[must_use]
    pub fn traits(&self) -> &'static KindTraits {
        self.row().0
    }

    /// Returns the step type in the YAML dialect.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Activity(call) => &call.activity.kind,
            kind => kind.traits().name,
        }
    }

    /// Returns whether the kind is a leaf rather than a composite.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.traits().pattern == Pattern::Leaf
    }

    /// Returns how a step of this kind runs its inner steps.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        self.traits().pattern
    }

    /// Returns the steps inside the step, in the groups in which they run; a group may be empty.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        fn group<'a>(segment: Option<&'static str>, when: Option<&'a str>, steps: &'a [Arc<Step>]) -> Group<'a> {
            Group { segment: segment.map(Cow::Borrowed), when, steps: steps.iter().collect() }
        }
        match self.row().1 {
            Contents::Nothing => Vec::new(),
            Contents::Steps(steps) => vec![group(None, None, steps)],
            Contents::Branches(branches) => {
                let steps = branches.iter().map(|branch| &branch.step).collect();
                vec![Group { steps, ..group(None, None, &[]) }]
            }
            Contents::Conditional(choice) => {
                let then = group(Some("then"), Some(&choice.condition), &choice.then);
                [then, group(Some("else"), None, &choice.otherwise)].into()
            }
            Contents::Cases(cases, default) => {
                let cases = cases.iter().enumerate().map(|(number, case)| {
                    let segment = Some(format!("case[{number}]").into());
                    Group { segment, ..group(None, Some(&case.when), &case.steps) }
                });
                cases.chain([group(Some("default"), None, default)]).collect()
            }
        }
    }

    /// Returns mutable references to the steps inside the step, in the order of [`StepKind::groups`].
    #[must_use]
    pub fn steps_mut(&mut self) -> Vec<&mut Arc<Step>> {
        match self {
            Self::Sequence(steps) => steps.iter_mut().collect(),
            Self::Conditional(inner) => inner.then.iter_mut().chain(&mut inner.otherwise).collect(),
            Self::Switch(inner) => {
                inner.cases.iter_mut().flat_map(|case| &mut case.steps).chain(&mut inner.default).collect()
            }
            Self::Route(inner) => inner.steps.iter_mut().collect(),
            Self::Loop(inner) => inner.steps.iter_mut().collect(),
            Self::Parallel(inner) => inner.branches.iter_mut().map(|branch| &mut branch.step).collect(),
            leaf => {
                debug_assert!(leaf.is_leaf(), "`steps_mut` has an arm for each kind that runs steps");
                Vec::new()
            }
        }
    }

    /// Returns the steps of a list or a route; these are visible to later steps by their ids.
    #[must_use]
    pub fn list(&self) -> Option<&Steps> {
        match self.row() {
            (KindTraits { pattern: Pattern::List | Pattern::Route, .. }, Contents::Steps(steps)) => Some(steps),
            _ => None,
        }
    }

    /// Returns the activity that the step calls: its own activity, or the validator of a `validate` step.
    #[must_use]
    pub fn activity(&self) -> Option<&ActivityName> {
        match self {
            Self::Activity(call) => Some(&call.activity),
            Self::Validate(check) => check.validator.as_ref(),
            _ => None,
        }
    }

    /// Returns the keys of the state that the step `id` of this kind may set itself.
    #[must_use]
    pub fn state_keys(&self, id: &str) -> StateKeys {
        match self {
            Self::Set(values) => StateKeys::Known(values.keys().cloned().collect()),
            Self::Activity(call) => match call.activity.kind.as_str() {
                "persona-request" => StateKeys::Known(vec![format!("{id}_result"), format!("{id}_status")]),
                // Tools, commands and requests cannot change the state; other activities may.
                "tool" | "shell" | "http" => StateKeys::Known(Vec::new()),
                _ => StateKeys::Any,
            },
            kind if kind.traits().sets_state => StateKeys::Any,
            _ => StateKeys::Known(Vec::new()),
        }
    }
}
