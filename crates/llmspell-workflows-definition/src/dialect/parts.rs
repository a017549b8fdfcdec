use super::{COUNT_MAX, Field, Shape, field};

/// A retry policy.
pub(crate) const RETRY: &[Field] = &[
    field("strategy", Shape::Word(STRATEGIES), "How the delay grows with each attempt.").or(&["backoff"]),
    field("max_attempts", Shape::Count(1, COUNT_MAX), "The maximum number of attempts, including the first."),
    field("max_retries", Shape::Count(0, COUNT_MAX), "The maximum number of attempts after the first."),
    field("initial_delay", Shape::Duration, "The delay before the second attempt."),
    field("max_delay", Shape::Duration, "The maximum delay."),
    field("multiplier", Shape::Number, "The factor by which an exponential delay grows with each attempt.")
        .or(&["backoff_multiplier"]),
    field("jitter", Shape::Jitter, "The random variation of each delay, as a fraction of the delay; true means 0.1."),
    field("retry_on", Shape::Texts, "Error codes or classes to retry.").or(&["retry_on_errors"]),
    field("retry_on_status_codes", Shape::StatusCodes, "HTTP status codes to retry."),
    field("retry_on_exit_codes", Shape::ExitCodes, "Process exit codes to retry, from 1 to 255."),
    field(
        "max_duration",
        Shape::Duration,
        "The maximum time from the start of the first attempt to the start of the last.",
    ),
];

const STRATEGIES: &[&str] =
    &["exponential", "exponential_backoff", "linear", "linear_backoff", "fixed", "fixed_delay", "immediate"];

/// A case of a switch.
pub(crate) const CASE: &[Field] = &[
    field("when", Shape::Expression, "The case matches if this is true.").or(&["condition", "if"]).required(),
    field("steps", Shape::Block, "The steps of the case.").required(),
];

/// A transition from a step of a route.
pub(crate) const TRANSITION: &[Field] = &[
    field("condition", Shape::Expression, "The transition is taken if this is true, or always if omitted.")
        .or(&["when", "if"]),
    field("target", Shape::Target, "The id of the next step, or `end`.").or(&["next_step", "next"]).required(),
];

/// The range of numbers that a loop iterates over.
pub(crate) const RANGE: &[Field] = &[
    field("start", Shape::NumberOrText, "The first number; 0 by default."),
    field("end", Shape::NumberOrText, "The end of the range, exclusive.").required(),
    field("step", Shape::NumberOrText, "The difference between numbers; 1 by default, negative to count down."),
];

/// A field of the input.
pub(crate) const INPUT: &[Field] = &[
    field(
        "type",
        Shape::Word(&["string", "integer", "number", "boolean", "array", "object", "any"]),
        "The type of the value.",
    ),
    field("required", Shape::Bool, "Whether a value is required."),
    field("default", Shape::Any, "The default value."),
    field("description", Shape::Text, "A description of the field."),
];

/// The condition under which a run starts its steps.
pub(crate) const TRIGGER: &[Field] =
    &[field("condition", Shape::Expression, "The run ends immediately if this is false.").required()];

/// The timeouts of a run.
pub(crate) const TIMEOUTS: &[Field] = &[field("total", Shape::Delay, "The timeout for the whole run.")];

/// A migration of the state from one version to another.
pub(crate) const MIGRATION: &[Field] = &[
    field("to", Shape::Version, "The version of the migrated state; by default the version of the definition."),
    field("rename", Shape::Names, "State keys to rename, and their new names."),
    field(
        "set",
        Shape::Object,
        "State keys to set, and their values, which may refer to the old `state` and to `input`.",
    ),
    field("remove", Shape::Texts, "State keys to remove."),
    field("function", Shape::Text, "The name of a registered function that completes the migration."),
];

/// Steps in a nested mapping, such as `on_error: {steps: [...]}`.
pub(crate) const STEPS: &[Field] = &[field("steps", Shape::Steps, "The steps to run.").required()];

/// A function whose name could be mistaken for a keyword of the dialect.
pub(crate) const CUSTOM_NAME: &[Field] =
    &[field("custom", Shape::Text, "The name of a registered function.").required()];

/// An activity that checks data.
pub(crate) const VALIDATOR: &[Field] = &[
    field("kind", Shape::Text, "The step type of the activity, such as function or tool.").required(),
    field("name", Shape::Text, "The name of the activity, if there are several of its kind."),
];
