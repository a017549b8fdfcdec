use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delay, Step, StepKind, Steps, step::shared};

/// One of two lists, by a condition. A condition that cannot be evaluated counts as false, with a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditional {
    /// The expression.
    pub condition: String,
    /// Runs at `PATH/then` where it is true.
    pub then: Steps,
    /// Runs at `PATH/else` where it is false; empty: the step's output is null.
    #[serde(rename = "else", default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Steps,
}

/// The list of the first case that holds, at `PATH/case[n]`, else the default, at `PATH/default`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    /// The cases in the order they are tried.
    pub cases: Vec<Case>,
    /// Runs where no case holds; empty: the step's output is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default: Steps,
}

/// A case of a [`Switch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The expression that must hold.
    pub when: String,
    /// What runs then.
    pub steps: Steps,
}

/// Steps by id, each naming the next ([`Step::next`]), backward too; a step entered again is its next generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The id of the first step.
    pub start: String,
    /// All steps, in any order.
    pub steps: Steps,
    /// How often it may go from one step to another before it fails; `None`: the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transitions_max: Option<u32>,
}

/// A way on from a step of a [`Route`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// An expression, with the step's output as `output`; `None`: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The next step; `None`: the route ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A list run again and again.
///
/// Its output is `{results, iterations, total_count, failed_count, errors}`, results in the order of the iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// What it runs over.
    pub over: Over,
    /// What runs at `PATH[n]`, with `loop.item`, `loop.index`, `loop.is_first` and `loop.is_last`.
    pub steps: Steps,
    /// One iteration after the other, or several at once.
    #[serde(default)]
    pub mode: IterationMode,
    /// How many iterations run at once in parallel mode; `None`: the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// Only the first so many iterations run; `None`: all, up to the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u64>,
    /// Ends the loop after the iteration in which it is true; sequential mode only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What the failure of an iteration does.
    #[serde(default)]
    pub on_error: IterationErrors,
}

/// What a [`Loop`] runs over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The items of an array: JSON whose texts may hold references.
    Items(Value),
    /// The numbers from `start` up to but not including `end`; JSON numbers, or texts with references.
    Range {
        /// The first number.
        start: Value,
        /// The number before which it stops.
        end: Value,
        /// The distance from one to the next, not 0; negative counts down.
        step: Value,
    },
    /// As long as an expression is true, tested before each iteration.
    While(String),
}

/// Whether iterations run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationMode {
    /// One after the other; each sees the state its predecessor left.
    #[default]
    Sequential,
    /// Several at once, each on its own copy of the state.
    Parallel,
}

/// What the failure of an iteration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationErrors {
    /// The loop fails at once.
    #[default]
    Stop,
    /// The loop goes on and succeeds, and keeps the errors.
    Continue,
    /// All iterations run, then the loop fails with all errors.
    Collect,
}

/// Branches at the same time, and how they are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parallel {
    /// The branches in the order of the output.
    pub branches: Vec<Branch>,
    /// How many run at once; `None`: the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// What a failure does to the others.
    #[serde(default)]
    pub error_mode: ErrorMode,
    /// How many must succeed, and what the output is made of.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// What the output looks like.
    #[serde(default)]
    pub output: ParallelOutput,
    /// What happens where two branches changed the same part of the state.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// How long each branch may take, unless it says otherwise itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_timeout: Option<Delay>,
}

/// A branch of a [`Parallel`]: a step, mostly a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// What runs; its id is the branch's name.
    pub step: Arc<Step>,
    /// Whether the whole fails if this one does.
    #[serde(default)]
    pub required: bool,
}

/// What a failed branch does to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorMode {
    /// The rest is cancelled once a required branch has failed or success is out of reach.
    FailFast,
    /// All run to their end, then it is judged.
    #[default]
    FailSlow,
    /// All run to their end; it goes on with those that succeeded.
    BestEffort,
}

/// How many branches must succeed, and what the output is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// All; the outputs in definition order.
    #[default]
    All,
    /// One; the output of the first to succeed. The others are cancelled.
    First,
    /// At least so many; the outputs of those that succeeded.
    AtLeast(u32),
    /// More than half; the outputs of those that succeeded.
    Majority,
    /// The function registered under this name makes the output of all results, and decides.
    Custom(String),
}

/// The shape of a [`Parallel`]'s output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParallelOutput {
    /// An array of outputs, or the one output of [`Aggregation::First`].
    #[default]
    Values,
    /// An object keyed by branch; a failed branch is `{"error": {…}}`.
    ByBranch,
}

/// What happens where two branches changed the same part of the state in different ways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The join fails and names both.
    #[default]
    Error,
    /// The branch that ended first stands.
    First,
    /// The branch that is defined last stands.
    Last,
    /// Objects are merged deeply, arrays joined in definition order; anything else is an error.
    Merge,
    /// The function registered under this name decides.
    Custom(String),
}

impl Loop {
    /// A loop over `over` that runs `steps`, one iteration after the other.
    pub fn new(over: Over, steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            over,
            steps: shared(steps),
            mode: IterationMode::Sequential,
            max_parallelism: None,
            max_iterations: None,
            until: None,
            on_error: IterationErrors::Stop,
        }
    }

    /// A loop over the array that `items` stands for.
    pub fn items(items: impl Into<Value>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(Over::Items(items.into()), steps)
    }

    /// Runs up to `max_parallelism` iterations at once.
    #[must_use]
    pub fn parallel(mut self, max_parallelism: u32) -> Self {
        self.mode = IterationMode::Parallel;
        self.max_parallelism = Some(max_parallelism);
        self
    }

    /// This loop as the step `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Loop(self))
    }
}

impl Parallel {
    /// Branches that must all succeed, judged when all have ended.
    pub fn new(branches: impl IntoIterator<Item = Step>) -> Self {
        Self {
            branches: branches.into_iter().map(|step| Branch { step: Arc::new(step), required: false }).collect(),
            max_parallelism: None,
            error_mode: ErrorMode::default(),
            aggregation: Aggregation::default(),
            output: ParallelOutput::default(),
            on_conflict: OnConflict::default(),
            branch_timeout: None,
        }
    }

    /// Sets how many must succeed.
    #[must_use]
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Sets what a failure does to the others.
    #[must_use]
    pub fn with_error_mode(mut self, mode: ErrorMode) -> Self {
        self.error_mode = mode;
        self
    }

    /// Sets what happens where two branches changed the same part of the state.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// This block as the step `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Parallel(self))
    }
}

impl Conditional {
    /// Runs `then` where `condition` is true, else `otherwise`.
    pub fn new(
        condition: impl Into<String>,
        then: impl IntoIterator<Item = Step>,
        otherwise: impl IntoIterator<Item = Step>,
    ) -> Self {
        Self { condition: condition.into(), then: shared(then), otherwise: shared(otherwise) }
    }

    /// This choice as the step `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Conditional(self))
    }
}

impl Route {
    /// A route that starts at `start`.
    pub fn new(start: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { start: start.into(), steps: shared(steps), transitions_max: None }
    }

    /// This route as the step `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Route(self))
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::First => f.write_str("first"),
            Self::AtLeast(n) => write!(f, "partial:{n}"),
            Self::Majority => f.write_str("majority"),
            Self::Custom(name) => f.write_str(name),
        }
    }
}
