use super::{Field, Shape, field, missing};

/// The fields of any step.
pub(crate) const COMMON: &[Field] = &[
    field("id", Shape::Text, "Its id, unique among its siblings; a step with only a name has that."),
    field("name", Shape::Text, "A name for people; may hold references."),
    field("type", Shape::Text, "What kind of step it is."),
    field("dependencies", Shape::Texts, "Steps of the same list that must end first.").or(&["depends_on", "needs"]),
    field("condition", Shape::Expression, "The step is skipped where this is false.").or(&["when", "if"]),
    field("trigger_rule", Shape::Word(RULES), "When it runs, given how its dependencies ended."),
    field("retries", Shape::Retry, "How often it is tried again after the first attempt, or a whole retry policy.")
        .or(&["retry"]),
    field("timeout", Shape::Delay, "How long one attempt may take."),
    field("total_timeout", Shape::Delay, "How long all attempts and the delays between them may take."),
    field("on_error", Shape::OnError, "What its failure does: fail, continue, or {steps: [...]} that run instead."),
    field("limits", Shape::Texts, "Named concurrency limits of which it takes a permit; leaves only."),
    field("next_step", Shape::Next, "Where a route goes next: an id, `end`, or a list of {condition, target}.")
        .or(&["next", "branches"]),
    field(
        "compensate",
        Shape::Undo,
        "A step that undoes this one when the run fails for good; it sees `input`, `output` and `certain`.",
    )
    .or(&["undo"]),
    field(
        "at_most_once",
        Shape::Bool,
        "Its effect must not happen twice: where nobody knows whether it has, the run is stuck until `spellflow resolve`.",
    ),
    missing("output_schema", "checking a step's output"),
    missing("cache", "cached results"),
    missing("circuit_breaker", "circuit breakers"),
    missing("idle_timeout", "a timeout for silence"),
    missing("idle_timeout_ms", "a timeout for silence"),
    missing("on_complete", "what is started afterwards"),
    missing("weight", "weighted aggregation"),
];

/// The ways a step may run given how its dependencies ended.
const RULES: &[&str] = &["none_failed_min_one_success", "all_success", "all_done", "one_success", "always"];

/// Fields of a branch of a parallel block beside those of any step.
pub(crate) const MEMBER: &[Field] =
    &[field("required", Shape::Bool, "Whether the whole block fails if this branch does.")];

/// Fields of a definition's body beside those of its type.
pub(crate) const BODY: &[Field] = &[field("type", Shape::Text, "What kind of block it is.")];

/// Settings that may stand under `defaults` for a step type.
pub(crate) const DEFAULTS: &[Field] = &[
    field("retries", Shape::Retry, "How often a step is tried again, or a whole retry policy.").or(&["retry"]),
    field("timeout", Shape::Delay, "How long one attempt may take."),
    field("total_timeout", Shape::Delay, "How long all attempts and the delays between them may take."),
    field("on_error", Shape::Word(&["fail", "continue"]), "What a failure does."),
    field("limits", Shape::Texts, "Named concurrency limits of which a step takes a permit."),
    missing("cache", "cached results"),
    missing("circuit_breaker", "circuit breakers"),
];
