use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delay, Step, StepKind, Steps, step::shared};

/// Runs one of two lists, depending on a condition.
///
/// A condition that cannot be evaluated counts as false, with a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditional {
    /// The expression that chooses the list.
    pub condition: String,
    /// The steps, at `PATH/then`, that run if the condition is true.
    pub then: Steps,
    /// The steps, at `PATH/else`, that run if the condition is false. If there are none, the step's output is null.
    #[serde(rename = "else", default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Steps,
}

/// Runs the list of the first case whose condition is true, at `PATH/case[n]`, or the default list, at `PATH/default`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    /// The cases, in the order in which they are tested.
    pub cases: Vec<Case>,
    /// The steps that run if no case matches. If there are none, the step's output is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default: Steps,
}

/// A case of a [`Switch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The expression that must be true.
    pub when: String,
    /// The steps of the case.
    pub steps: Steps,
}

/// Runs steps that each choose the next step ([`Step::next`]), which may be an earlier one.
///
/// A step that is entered again runs under its next generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The id of the first step.
    pub start: String,
    /// All steps, in any order.
    pub steps: Steps,
    /// The maximum number of transitions before the route fails; `None` for the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transitions_max: Option<u32>,
}

/// A transition from a step of a [`Route`] to the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// An expression that sees the step's output as `output`; `None` if the transition is always taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The id of the next step; `None` to end the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Runs a list repeatedly.
///
/// The output of a loop is `{results, iterations, total_count, failed_count, errors}`; the results are in the order of
/// the iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// The source of the iterations.
    pub over: LoopSource,
    /// The steps at `PATH[n]`, which see `loop.item`, `loop.index`, `loop.is_first` and `loop.is_last`.
    pub steps: Steps,
    /// Whether iterations run one after the other or concurrently.
    #[serde(default)]
    pub mode: IterationMode,
    /// The maximum number of iterations at once in parallel mode; `None` for the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// The number of iterations after which the loop ends; `None` to run all iterations, up to the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u64>,
    /// An expression tested after each iteration; the loop ends once it is true. Only in sequential
    /// mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What happens when an iteration fails.
    #[serde(default)]
    pub on_error: IterationErrors,
    /// What happens if two iterations set the same part of the state to different values; only in
    /// parallel mode. Iterations are ordered by number, not by when they end.
    #[serde(default, skip_serializing_if = "super::step::is_default")]
    pub on_conflict: OnConflict,
}

/// The source of the iterations of a [`Loop`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopSource {
    /// The items of an array, given as JSON whose strings may contain references.
    Items(Value),
    /// The numbers from `start` up to but not including `end`. Each field is a JSON number or a string with references.
    ///
    /// If `start` and `step` are integers, the numbers are also integers. They are exact from -2^63
    /// to 2^64 - 1.
    Range {
        /// The first number.
        start: Value,
        /// The end of the range, which is not included.
        end: Value,
        /// The difference between consecutive numbers, not 0; a negative step counts down.
        step: Value,
    },
    /// The loop runs while this expression, tested before each iteration, is true.
    While(String),
}

/// Whether iterations run one after the other or concurrently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationMode {
    /// Iterations run one after the other; each sees the state left by the previous iteration.
    #[default]
    Sequential,
    /// Several iterations run at once, each on its own copy of the state.
    Parallel,
}

/// What happens when an iteration fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationErrors {
    /// The loop fails immediately.
    #[default]
    Stop,
    /// The loop continues and completes; its output contains the errors.
    Continue,
    /// All iterations run; then the loop fails with all errors.
    Collect,
}

/// Runs branches at the same time and joins them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parallel {
    /// The branches; their outputs are in the same order.
    pub branches: Vec<Branch>,
    /// The maximum number of branches at once; `None` for the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// The effect of a failed branch on the other branches.
    #[serde(default)]
    pub error_mode: ErrorMode,
    /// How many branches must succeed, and what the output contains.
    ///
    /// A list of outputs has one entry for each branch, in definition order. The entry is null if
    /// the branch was skipped, failed or was stopped.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// The shape of the output.
    #[serde(default)]
    pub output: ParallelOutput,
    /// What happens if two branches set the same part of the state to different values.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// How long each branch may take, unless the branch has its own `total_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_timeout: Option<Delay>,
}

/// A branch of a [`Parallel`]: a step, usually a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// The step; its id is the name of the branch.
    pub step: Arc<Step>,
    /// Whether the block fails if this branch fails.
    #[serde(default)]
    pub required: bool,
}

/// The effect of a failed branch on the other branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorMode {
    /// The other branches are cancelled once a required branch has failed or
    /// success has become impossible.
    FailFast,
    /// All branches run to their end; then the block completes or fails.
    #[default]
    FailSlow,
    /// All branches run to their end; the block continues with the branches that succeeded.
    BestEffort,
}

/// How many branches must succeed, and what the output contains.
///
/// A list of outputs has one entry for each branch, in definition order. The entry is null if the
/// branch was skipped, failed or was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// All branches must succeed. The output is the list of their outputs.
    #[default]
    All,
    /// One branch must succeed. The output is the output of the first branch that succeeds; the other branches are
    /// cancelled.
    First,
    /// At least this number of branches must succeed. The output is the list of their outputs.
    AtLeast(u32),
    /// More than half of the branches must succeed. The output is the list of their outputs.
    Majority,
    /// The function registered under this name decides whether the block succeeds, and computes the
    /// output from all results.
    Custom(String),
}

/// The shape of a [`Parallel`]'s output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParallelOutput {
    /// An array of outputs, or the single output of [`Aggregation::First`].
    #[default]
    Values,
    /// An object that maps each branch's id to its output; for a failed branch, the value is
    /// `{"error": {…}}`.
    ByBranch,
}

/// What happens if two branches set the same part of the state to different values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The block fails with an error that names both branches.
    #[default]
    Error,
    /// The value of the branch that ended first is kept.
    First,
    /// The value of the branch defined last is kept.
    Last,
    /// Objects are merged recursively and arrays are concatenated in definition order; other values are an error.
    Merge,
    /// The items that each branch appended to the previous list are appended in
    /// definition order. If there is no previous list, arrays are concatenated, and other
    /// values become the items of a new list.
    Append,
    /// The amounts that the branches added to the previous number, or to 0, are added up. Objects
    /// are summed field by field; other values are an error.
    Sum,
    /// The function registered under this name chooses the value.
    Custom(String),
}

impl OnConflict {
    /// The policies that have a keyword in YAML.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("error", Self::Error),
        ("first", Self::First),
        ("last", Self::Last),
        ("merge", Self::Merge),
        ("append", Self::Append),
        ("sum", Self::Sum),
    ];

    /// Returns whether equal values of two branches count twice, because the policy combines values
    /// instead of choosing one.
    #[must_use]
    pub fn combines(&self) -> bool {
        matches!(self, Self::Append | Self::Sum)
    }
}

impl Loop {
    /// Creates a loop over `over` that runs `steps`, one iteration after the other.
    pub fn new(over: LoopSource, steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            over,
            steps: shared(steps),
            mode: IterationMode::Sequential,
            max_parallelism: None,
            max_iterations: None,
            until: None,
            on_error: IterationErrors::Stop,
            on_conflict: OnConflict::default(),
        }
    }

    /// Creates a loop over `items`: an array or a reference to an array.
    pub fn items(items: impl Into<Value>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(LoopSource::Items(items.into()), steps)
    }

    /// Runs up to `max_parallelism` iterations at once.
    #[must_use]
    pub fn parallel(mut self, max_parallelism: u32) -> Self {
        self.mode = IterationMode::Parallel;
        self.max_parallelism = Some(max_parallelism);
        self
    }

    /// Converts this to a step with the id `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Loop(self))
    }
}

impl Parallel {
    /// Creates a block that waits until all branches have ended and succeeds if all of them have succeeded.
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

    /// Sets how many branches must succeed.
    #[must_use]
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Sets the effect of a failed branch on the other branches.
    #[must_use]
    pub fn with_error_mode(mut self, mode: ErrorMode) -> Self {
        self.error_mode = mode;
        self
    }

    /// Sets what happens if two branches set the same part of the state to different values.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Converts this to a step with the id `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Parallel(self))
    }
}

impl Conditional {
    /// Creates a step that runs `then` if `condition` is true, and `otherwise` if it is false.
    pub fn new(
        condition: impl Into<String>,
        then: impl IntoIterator<Item = Step>,
        otherwise: impl IntoIterator<Item = Step>,
    ) -> Self {
        Self { condition: condition.into(), then: shared(then), otherwise: shared(otherwise) }
    }

    /// Converts this to a step with the id `id`.
    pub fn into_step(self, id: impl Into<String>) -> Step {
        Step::new(id, StepKind::Conditional(self))
    }
}

impl Route {
    /// Creates a route that starts at `start`.
    pub fn new(start: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { start: start.into(), steps: shared(steps), transitions_max: None }
    }

    /// Converts this to a step with the id `id`.
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
