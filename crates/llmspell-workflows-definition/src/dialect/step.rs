use super::{Field, Shape, field, missing};

/// The fields of any step.
pub(crate) const COMMON: &[Field] = &[
    field("id", Shape::Text, "The id, unique among its siblings; derived from the name if omitted.")
        .elsewhere(&["key", "step", "step_id"]),
    field("name", Shape::Text, "The display name; may contain references."),
    field("type", Shape::Text, "The step type."),
    field("dependencies", Shape::Texts, "Steps in the same list that must end first.")
        .or(&["depends_on", "needs"])
        .elsewhere(&["after", "requires"]),
    field("condition", Shape::Expression, "The step is skipped if this is false.").or(&["when", "if"]),
    field("trigger_rule", Shape::Word(RULES), "When the step runs, depending on how its dependencies ended."),
    field("retries", Shape::Retry, "The maximum number of attempts after the first, or a retry policy.")
        .or(&["retry"])
        .elsewhere(&["attempts", "max_attempts", "max_retries"]),
    field("timeout", Shape::Delay, "The timeout for one attempt."),
    field("total_timeout", Shape::Delay, "The timeout for all attempts together, including the delays between them."),
    field("on_error", Shape::OnError, "What to do if the step fails: fail, continue, or run {steps: [...]} instead.")
        .elsewhere(&["catch", "continue-on-error", "continue_on_error", "ignore_errors", "on_failure"]),
    field("limits", Shape::Texts, "The named concurrency limits that the step must acquire; not allowed on blocks."),
    field("next_step", Shape::Next, "The next step of a route: an id, `end`, or a list of {condition, target}.")
        .or(&["next", "branches"]),
    field(
        "compensate",
        Shape::Undo,
        "A step that undoes this step if the run fails permanently; it may refer to `input`, `output` and `certain`.",
    )
    .or(&["undo"]),
    field(
        "at_most_once",
        Shape::Bool,
        "Whether the effect must not happen twice: if its outcome is unknown, the run is stuck until the step is resolved with `spellflow resolve`.",
    ),
    missing("output_schema", "check the output in a `validate` step instead"),
    missing("cache", "remove it; results are not cached"),
    missing("circuit_breaker", "remove it; `retries` handles temporary failures"),
    missing("idle_timeout", "use `timeout` instead"),
    missing("idle_timeout_ms", "use `timeout` instead"),
    missing("on_complete", "use a later step instead"),
    missing("weight", "remove it; all branches have the same weight"),
];

/// The rules for when a step runs, depending on how its dependencies ended.
const RULES: &[&str] = &["none_failed_min_one_success", "all_success", "all_done", "one_success", "always"];

/// The additional fields of a step used as a branch of a parallel block.
pub(crate) const MEMBER: &[Field] =
    &[field("required", Shape::Bool, "Whether the whole block fails if this branch fails.")];

/// The additional fields of the `body` of a definition.
pub(crate) const BODY: &[Field] = &[field("type", Shape::Text, "The step type of the block.")];

/// The settings of a step type under `defaults`.
pub(crate) const DEFAULTS: &[Field] = &[
    field("retries", Shape::Retry, "The maximum number of attempts after the first, or a retry policy.").or(&["retry"]),
    field("timeout", Shape::Delay, "The timeout for one attempt."),
    field("total_timeout", Shape::Delay, "The timeout for all attempts together, including the delays between them."),
    field("on_error", Shape::Word(&["fail", "continue"]), "What happens if a step fails."),
    field("limits", Shape::Texts, "The named concurrency limits that a step must acquire."),
    missing("cache", "remove it; results are not cached"),
    missing("circuit_breaker", "remove it; `retries` handles temporary failures"),
];
