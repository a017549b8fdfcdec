//! Plans for definitions, in which steps do not have ids yet.

use std::time::Duration;

use llmspell_workflows_basic::model::{
    Aggregation, Backoff, Delay, ErrorMode, IterationErrors, OnConflict, ParallelOutput, Retry, Step, StepKind,
    TriggerRule, Validate, ValidateMode,
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{
    TOOL,
    values::{json, text},
};

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) variables: Vec<Value>,
    pub(super) context: Vec<Value>,
    pub(super) condition: bool,
    pub(super) environment: Option<Value>,
    pub(super) total_timeout: Option<Delay>,
    pub(super) retry_budget: Option<u32>,
    pub(super) outputs: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    /// Selects an expression over the data visible to the step.
    pub(super) condition: Option<Index>,
    pub(super) retry: Option<Retry>,
    pub(super) timeout: Option<Delay>,
    pub(super) trigger_rule: TriggerRule,
    pub(super) goes_on: bool,
    pub(super) is_limited: bool,
    pub(super) required: bool,
    /// Select the dependencies in a graph and the targets in a route.
    pub(super) picks: Vec<Index>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Function(Value, Index),
    Set(Vec<Value>, Index),
    /// A leaf without references.
    Plain(StepKind),
    Sequence {
        steps: Vec<Plan>,
        is_graph: bool,
    },
    Conditional {
        condition: Index,
        then: Vec<Plan>,
        otherwise: Vec<Plan>,
    },
    Switch {
        cases: Vec<(Index, Vec<Plan>)>,
        default: Vec<Plan>,
    },
    Route {
        steps: Vec<Plan>,
        transitions_max: u32,
    },
    Loop {
        over: Over,
        steps: Vec<Plan>,
        parallelism: Option<u32>,
        max_iterations: Option<u64>,
        on_error: IterationErrors,
    },
    Parallel {
        branches: Vec<Plan>,
        join: Join,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Over {
    Items(Vec<Value>),
    InputItems,
    Range(i8, i8, i8),
    While,
}

#[derive(Debug, Clone)]
pub(super) struct Join {
    pub(super) max_parallelism: Option<u32>,
    pub(super) error_mode: ErrorMode,
    pub(super) aggregation: Aggregation,
    pub(super) output: ParallelOutput,
    pub(super) on_conflict: OnConflict,
    pub(super) branch_timeout: Option<Delay>,
}

pub(super) fn head() -> impl Strategy<Value = Head> {
    let sentence = || prop::option::of(text().prop_filter("not blank", |text| !text.trim().is_empty()));
    (
        (prop::option::of("[0-9]\\.[0-9]\\.[0-9]"), sentence(), prop::collection::vec(json(), 0..3)),
        (prop::collection::vec(json(), 0..2), any::<bool>(), prop::option::of(json())),
        (prop::option::of(delay()), prop::option::of(0_u32..9), any::<bool>()),
    )
        .prop_map(|((version, description, variables), (context, condition, environment), bounds)| {
            let (total_timeout, retry_budget, outputs) = bounds;
            Head {
                version,
                description,
                variables,
                context,
                condition,
                environment,
                total_timeout,
                retry_budget,
                outputs,
            }
        })
}

/// Generates a sequence, a graph or a route of steps, or a single block.
pub(super) fn body() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => steps(step(), 1..5, any::<bool>()),
        1 => route(step()),
        1 => step().prop_map(|plan| plan.kind),
    ]
}

fn step() -> impl Strategy<Value = Plan> + Clone {
    let leaf = (settings(), leaf()).prop_map(|(settings, kind)| Plan { settings, kind }).boxed();
    leaf.prop_recursive(4, 40, 3, |inner| {
        (settings(), block(inner)).prop_map(|(settings, kind)| Plan { settings, kind }).boxed()
    })
}

fn leaf() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => (json(), any::<Index>()).prop_map(|(params, sees)| Kind::Function(params, sees)),
        2 => (prop::collection::vec(json(), 1..3), any::<Index>()).prop_map(|(values, sees)| Kind::Set(values, sees)),
        4 => plain().prop_map(Kind::Plain),
    ]
}

fn plain() -> impl Strategy<Value = StepKind> {
    prop_oneof![
        2 => json().prop_map(|params| Step::tool("", TOOL, json!({"input": params})).kind),
        1 => milliseconds(0..3).prop_map(|duration| StepKind::Sleep(Delay::Fixed(duration))),
        1 => (json(), any::<bool>()).prop_map(|(data, warns)| StepKind::Validate(Validate {
            data,
            assertions: vec!["data == data".into()],
            mode: if warns { ValidateMode::Warn } else { ValidateMode::Strict },
            ..Validate::default()
        })),
    ]
}

fn block(inner: impl Strategy<Value = Plan> + Clone + 'static) -> impl Strategy<Value = Kind> {
    prop_oneof![
        steps(inner.clone(), 1..4, any::<bool>()),
        conditional(inner.clone()),
        switch(inner.clone()),
        route(inner.clone()),
        repeat(inner.clone()),
        (prop::collection::vec(inner, 1..4), join()).prop_map(|(branches, join)| Kind::Parallel { branches, join }),
    ]
}

fn conditional(inner: impl Strategy<Value = Plan> + Clone) -> impl Strategy<Value = Kind> {
    (any::<Index>(), prop::collection::vec(inner.clone(), 1..3), prop::collection::vec(inner, 0..3))
        .prop_map(|(condition, then, otherwise)| Kind::Conditional { condition, then, otherwise })
}

fn switch(inner: impl Strategy<Value = Plan> + Clone) -> impl Strategy<Value = Kind> {
    let case = (any::<Index>(), prop::collection::vec(inner.clone(), 1..3));
    (prop::collection::vec(case, 1..3), prop::collection::vec(inner, 0..3))
        .prop_map(|(cases, default)| Kind::Switch { cases, default })
}

fn repeat(inner: impl Strategy<Value = Plan>) -> impl Strategy<Value = Kind> {
    let steps = prop::collection::vec(inner, 1..3);
    (over(), steps, prop::option::of(1_u32..4), prop::option::of(1_u64..4), iteration_errors()).prop_map(
        |(over, steps, parallelism, max_iterations, on_error)| {
            // A loop that tests a condition before each iteration has no parallel mode, and needs a maximum number of
            // iterations.
            let is_while = matches!(over, Over::While);
            let parallelism = parallelism.filter(|_| !is_while);
            let max_iterations = max_iterations.or(is_while.then_some(2));
            Kind::Loop { over, steps, parallelism, max_iterations, on_error }
        },
    )
}

fn steps(
    inner: impl Strategy<Value = Plan>,
    count: std::ops::Range<usize>,
    is_graph: impl Strategy<Value = bool>,
) -> impl Strategy<Value = Kind> {
    (prop::collection::vec(inner, count), is_graph).prop_map(|(steps, is_graph)| Kind::Sequence { steps, is_graph })
}

fn route(inner: impl Strategy<Value = Plan>) -> impl Strategy<Value = Kind> {
    (prop::collection::vec(inner, 1..4), 1_u32..9)
        .prop_map(|(steps, transitions_max)| Kind::Route { steps, transitions_max })
}

fn settings() -> impl Strategy<Value = Settings> {
    let rule = prop::sample::select(vec![
        TriggerRule::NoneFailedMinOneSuccess,
        TriggerRule::AllSuccess,
        TriggerRule::AllDone,
        TriggerRule::OneSuccess,
        TriggerRule::Always,
    ]);
    (
        prop::option::weighted(0.2, text().prop_filter("not blank", |text| !text.trim().is_empty())),
        prop::option::weighted(0.3, any::<Index>()),
        prop::option::weighted(0.2, retry()),
        prop::option::weighted(0.2, delay()),
        rule,
        (any::<bool>(), prop::bool::weighted(0.2), any::<bool>()),
        prop::collection::vec(any::<Index>(), 0..3),
    )
        .prop_map(|(name, condition, retry, timeout, trigger_rule, (goes_on, is_limited, required), picks)| {
            Settings { name, condition, retry, timeout, trigger_rule, goes_on, is_limited, required, picks }
        })
}

fn milliseconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn delay() -> impl Strategy<Value = Delay> {
    prop_oneof![
        milliseconds(60_000..10_000_000).prop_map(Delay::Fixed),
        (60_u64..9_000).prop_map(|seconds| Delay::Fixed(Duration::from_secs(seconds))),
        Just(Delay::Expression("input.n + 60".into())),
    ]
}

fn retry() -> impl Strategy<Value = Retry> {
    let backoff = prop::sample::select(vec![Backoff::Exponential, Backoff::Linear, Backoff::Fixed, Backoff::Immediate]);
    let long =
        (backoff, 1_u32..4, (milliseconds(0..5), milliseconds(5..10)), 1.0_f64..3.0, 0.0_f64..1.0, any::<bool>())
            .prop_map(|(backoff, attempts_max, (initial_delay, delay_max), multiplier, jitter, picky)| Retry {
                backoff,
                attempts_max,
                initial_delay,
                delay_max,
                multiplier,
                jitter,
                on_errors: if picky { vec!["transient".into(), "timeout".into()] } else { Vec::new() },
                on_status_codes: if picky { vec![429, 503] } else { Vec::new() },
                on_exit_codes: if picky { vec![75] } else { Vec::new() },
                duration_max: picky.then(|| Duration::from_secs(90)),
            });
    prop_oneof![(1_u32..4).prop_map(Retry::attempts), long]
}

fn over() -> impl Strategy<Value = Over> {
    prop_oneof![
        prop::collection::vec(json(), 0..3).prop_map(Over::Items),
        Just(Over::InputItems),
        (-3_i8..3, -3_i8..3, prop::sample::select(vec![1_i8, 2, -1]))
            .prop_map(|(start, end, step)| Over::Range(start, end, step)),
        Just(Over::While),
    ]
}

fn iteration_errors() -> impl Strategy<Value = IterationErrors> {
    prop::sample::select(vec![IterationErrors::Stop, IterationErrors::Continue, IterationErrors::Collect])
}

fn join() -> impl Strategy<Value = Join> {
    let error_mode = prop::sample::select(vec![ErrorMode::FailFast, ErrorMode::FailSlow, ErrorMode::BestEffort]);
    let aggregation = prop::sample::select(vec![
        Aggregation::All,
        Aggregation::First,
        Aggregation::AtLeast(1),
        Aggregation::Majority,
    ]);
    let on_conflict = prop::sample::select(OnConflict::WORDS.map(|(_, policy)| policy).to_vec());
    let output = prop::sample::select(vec![ParallelOutput::Values, ParallelOutput::ByBranch]);
    (prop::option::of(1_u32..4), error_mode, aggregation, output, on_conflict, prop::option::weighted(0.2, delay()))
        .prop_map(|(max_parallelism, error_mode, aggregation, output, on_conflict, branch_timeout)| Join {
            max_parallelism,
            error_mode,
            aggregation,
            output,
            on_conflict,
            branch_timeout,
        })
}
