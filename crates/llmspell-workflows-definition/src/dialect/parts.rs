use super::{COUNT_MAX, Field, Shape, field};

/// A retry policy.
pub(crate) const RETRY: &[Field] = &[
    field("strategy", Shape::Word(STRATEGIES), "How the delay grows from attempt to attempt.").or(&["backoff"]),
    field("max_attempts", Shape::Count(1, COUNT_MAX), "All attempts together, the first included."),
    field("max_retries", Shape::Count(0, COUNT_MAX), "The attempts after the first."),
    field("initial_delay", Shape::Duration, "The delay before the second attempt."),
    field("max_delay", Shape::Duration, "No delay is longer."),
    field("multiplier", Shape::Number, "By how much an exponential delay grows each time.").or(&["backoff_multiplier"]),
    field("jitter", Shape::Jitter, "How far a delay may stray, as a share of it; true is 0.1."),
    field("retry_on", Shape::Texts, "Error codes or classes that are tried again.").or(&["retry_on_errors"]),
    field("retry_on_status_codes", Shape::StatusCodes, "HTTP status codes that are tried again."),
    field("max_duration", Shape::Duration, "No attempt begins later than this after the first."),
];

const STRATEGIES: &[&str] =
    &["exponential", "exponential_backoff", "linear", "linear_backoff", "fixed", "fixed_delay", "immediate"];

/// A case of a switch.
pub(crate) const CASE: &[Field] = &[
    field("when", Shape::Expression, "The case is taken where this is true.").or(&["condition", "if"]).required(),
    field("steps", Shape::Block, "What runs then.").required(),
];

/// A way on from a step of a route.
pub(crate) const TRANSITION: &[Field] = &[
    field("condition", Shape::Expression, "The way is taken where this is true; always where it is not given.")
        .or(&["when", "if"]),
    field("target", Shape::Target, "The id of the next step, or `end`.").or(&["next_step", "next"]).required(),
];

/// The numbers of a loop.
pub(crate) const RANGE: &[Field] = &[
    field("start", Shape::NumberOrText, "The first number; 0 where it is not given."),
    field("end", Shape::NumberOrText, "The number before which it stops.").required(),
    field("step", Shape::NumberOrText, "The distance from one to the next; 1 where it is not given."),
];

/// A field of the input.
pub(crate) const INPUT: &[Field] = &[
    field("type", Shape::Word(&["string", "integer", "number", "boolean", "array", "object", "any"]), "Its type."),
    field("required", Shape::Bool, "Whether it must be given."),
    field("default", Shape::Any, "Its value where it is not given."),
    field("description", Shape::Text, "What it is for."),
];

/// When a run goes on at all.
pub(crate) const TRIGGER: &[Field] =
    &[field("condition", Shape::Expression, "The run ends at once where this is false.").required()];

/// How long a run may take.
pub(crate) const TIMEOUTS: &[Field] = &[field("total", Shape::Delay, "How long the whole run may take.")];

/// From the state of one version to that of another.
pub(crate) const MIGRATION: &[Field] = &[
    field("to", Shape::Version, "The version that the state has then; that of the definition where it is not given."),
    field("rename", Shape::Names, "Keys of the state, and how they are called from then on."),
    field(
        "set",
        Shape::Object,
        "Keys of the state and their values, which may refer to `state`, as it was, and to `input`.",
    ),
    field("remove", Shape::Texts, "Keys of the state that are no more."),
    field("function", Shape::Text, "The name of a registered function that does the rest."),
];

/// Steps in a mapping of their own.
pub(crate) const STEPS: &[Field] = &[field("steps", Shape::Steps, "What runs.").required()];

/// A function named where a word of the dialect could stand.
pub(crate) const CUSTOM_NAME: &[Field] =
    &[field("custom", Shape::Text, "The name of a registered function.").required()];

/// An activity that checks data.
pub(crate) const VALIDATOR: &[Field] = &[
    field("kind", Shape::Text, "The step type of the activity, such as function or tool.").required(),
    field("name", Shape::Text, "Which of its kind."),
];
