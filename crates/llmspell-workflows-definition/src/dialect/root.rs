use super::{COUNT_MAX, Field, Shape, field, missing};

/// The fields of a definition.
pub(crate) const ROOT: &[Field] = &[
    field("name", Shape::Text, "The name of the workflow.").or(&["workflow_id"]).required(),
    field("version", Shape::Version, "Its version, by convention MAJOR.MINOR.PATCH."),
    field("description", Shape::Text, "What it is for."),
    field("author", Shape::Text, "Who wrote it."),
    field("tags", Shape::Texts, "Words to find it by."),
    field("required_tools", Shape::Texts, "Tools without which it cannot run."),
    field("inputs", Shape::Inputs, "The fields of its input, each with type, required, default, description."),
    field(
        "variables",
        Shape::Object,
        "Values computed at the start; they may refer to the input and to variables above them.",
    ),
    field("environments", Shape::Environments, "Overrides of variables by environment, chosen when a run starts."),
    field("conditions", Shape::Conditions, "Expressions with a name, which may stand wherever a condition does."),
    field("context", Shape::Object, "Constants, as context.NAME."),
    field("secrets", Shape::Texts, "Names of the secrets it may use."),
    field(
        "env",
        Shape::RootEnv,
        "Names of the environment variables it may read, or a mapping of variables that every process it starts gets.",
    ),
    field("defaults", Shape::Defaults, "Settings by step type, for steps that do not say otherwise."),
    field("personas", Shape::Personas, "The personas there are; a step that names another one gets a warning."),
    field("trigger", Shape::Trigger, "A condition on the input; where it is false the run ends at once."),
    field(
        "concurrency",
        Shape::Counts,
        "How many steps of all runs of this workflow may hold each named limit at once.",
    ),
    field("max_retry_budget", Shape::Count(0, COUNT_MAX), "How many retries all steps together may use.")
        .or(&["retry_budget"]),
    field("timeouts", Shape::Timeouts, "How long the whole run may take."),
    field("start_step", Shape::Text, "The first step of a route; its first step where it is not given.")
        .or(&["initial_step"]),
    field("max_transitions", Shape::Count(1, COUNT_MAX), "How often a route may go from one step to another.")
        .or(&["transitions_max"]),
    field(
        "steps",
        Shape::StepsById,
        "What it does: steps in order, a graph if any of them has dependencies, a route if any of them names the next.",
    ),
    field("body", Shape::Body, "What it does where that is one block, such as a parallel one, in place of steps."),
    field(
        "migrations",
        Shape::Migrations,
        "How the state of a run of an earlier version becomes one of this version, by the earlier version.",
    ),
    field("workflows", Shape::Workflows, "Definitions that its steps run, by name."),
    field("outputs", Shape::Given, "What its output is made of; the last step's output where it is not given."),
    field("on_error", Shape::RootOnError, "Steps that run where the workflow failed."),
    field("finally", Shape::Steps, "Steps that run last in any case."),
    field(
        "durability",
        Shape::Word(&["sync", "async", "none"]),
        "How much survives a crash: each completion (sync), all but the last moments before a power loss (async), or what has left the process by the way (none).",
    ),
    missing("on_complete", "what is started afterwards"),
    missing("tools", "tools declared by the workflow"),
    missing("type", "a workflow of another kind, such as `state_machine`"),
    missing("initial_state", "state machines"),
    missing("states", "state machines"),
    missing("schedule", "schedules"),
    missing("hooks", "hooks declared by the workflow"),
];

/// Roots of the command dialect, each a whole document.
pub(crate) const COMMANDS: &[&str] = &["/chain", "/flow", "/swarm", "/pipeline"];
