use super::{COUNT_MAX, Field, Shape, field, missing};

/// The fields of a definition.
pub(crate) const ROOT: &[Field] = &[
    field("name", Shape::Text, "The name of the workflow.")
        .or(&["workflow_id"])
        .elsewhere(&["id", "title"])
        .required(),
    field("version", Shape::Version, "The version, by convention MAJOR.MINOR.PATCH."),
    field("description", Shape::Text, "A description of the workflow."),
    field("author", Shape::Text, "The author."),
    field("tags", Shape::Texts, "Keywords."),
    field("required_tools", Shape::Texts, "The tools the workflow requires."),
    field("inputs", Shape::Inputs, "The fields of the input, each with type, required, default and description.")
        .elsewhere(&["arguments", "parameters", "params"]),
    field(
        "variables",
        Shape::Object,
        "Values computed at the start; they may refer to the input and to each other.",
    )
    .elsewhere(&["vars"]),
    field(
        "environments",
        Shape::Environments,
        "Values that override variables, by environment; the environment is chosen when a run starts.",
    ),
    field("conditions", Shape::Conditions, "Named expressions; a name can be used wherever a condition is expected."),
    field("context", Shape::Object, "Constants, available as context.NAME."),
    field("secrets", Shape::Texts, "The names of the secrets that the workflow may use."),
    field(
        "env",
        Shape::RootEnv,
        "The names of the environment variables that the workflow may read, or a mapping of variables for every process that it starts.",
    ),
    field("defaults", Shape::Defaults, "Default settings of steps, by step type."),
    field("personas", Shape::Personas, "The personas that steps may use; any other persona causes a warning."),
    field("trigger", Shape::Trigger, "A condition on the input; if it is false, the run ends immediately."),
    field(
        "concurrency",
        Shape::Counts,
        "For each named limit, the maximum number of steps that may hold it at once, across all runs of this workflow in all processes of the store.",
    ),
    field("max_retry_budget", Shape::Count(0, COUNT_MAX), "The maximum number of retries of all steps together.")
        .or(&["retry_budget"]),
    field("timeouts", Shape::Timeouts, "The timeout for the whole run."),
    field("start_step", Shape::Text, "The first step of a route; by default the first step in the list.")
        .or(&["initial_step"]),
    field(
        "max_transitions",
        Shape::Count(1, COUNT_MAX),
        "The maximum number of transitions between the steps of a route.",
    )
    .or(&["transitions_max"]),
    field(
        "steps",
        Shape::StepsById,
        "The steps, which run in order, as a graph if any of them has dependencies, or as a route if any has next_step.",
    )
    .elsewhere(&["jobs", "nodes", "stages", "tasks"]),
    field("body", Shape::Body, "A single block, such as a parallel one, instead of steps."),
    field(
        "migrations",
        Shape::Migrations,
        "How to migrate the state of runs of earlier versions, keyed by the version to migrate from.",
    ),
    field("workflows", Shape::Workflows, "The definitions of sub-workflows, by name."),
    field("outputs", Shape::NonNull, "A template for the output; by default the output of the last step.")
        .elsewhere(&["output", "result", "results"]),
    field("on_error", Shape::RootOnError, "Steps that run if the workflow fails."),
    field("finally", Shape::Steps, "Steps that run last, whether or not the workflow fails."),
    field(
        "durability",
        Shape::Word(&["sync", "async", "none"]),
        "What may be lost: no completed step (sync), recent steps if the power fails (async), or recent steps in any crash (none).",
    ),
    missing("on_complete", "remove it; a `workflow` step at the end can run another workflow"),
    missing("tools", "remove it; a workflow cannot declare tools"),
    missing("type", "remove it; a definition has `steps` or a `body`"),
    missing("initial_state", "use a route instead: `start_step`, and steps with `next_step`"),
    missing("states", "use a route instead: steps with `next_step`"),
    missing("schedule", "remove it; start runs from a scheduler such as cron"),
    missing("hooks", "remove it; a workflow cannot declare hooks"),
];

/// The root keys of the command dialect, each of which contains a whole document.
pub(crate) const COMMANDS: &[&str] = &["/chain", "/flow", "/swarm", "/pipeline"];
