use super::{COUNT_MAX, Field, Shape, field};

/// A step type.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) doc: &'static str,
    /// Fields that tell that a step without `type` is one of these.
    pub(crate) markers: &'static [&'static str],
    /// Its fields beside those of any step.
    pub(crate) fields: &'static [Field],
    pub(crate) build: Build,
}

/// How a step type becomes a part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// An activity whose name stands in this field.
    Activity(&'static str),
    /// An activity that starts a process.
    Shell,
    Git,
    Http,
    Sequence,
    Conditional,
    Switch,
    Route,
    Loop,
    Parallel,
    ForkJoin,
    Set,
    Sleep,
    WaitForEvent,
    Workflow,
    Validate,
    /// Known to the specification, and not a part of this version.
    Missing,
}

/// The step type that `name` stands for.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name || kind.aliases.contains(&name))
}

const CONDITION_ALIASES: &[&str] = &["when", "if"];
const PARAMS: Field = field("params", Shape::Any, "The input of the activity; its texts may hold references.").or(&[
    "with",
    "config",
    "parameters",
]);
const PARAM_OBJECT: Field =
    field("params", Shape::Object, "The same fields, in a mapping of their own.").or(&["with", "config", "parameters"]);
const ENV: Field = field("env", Shape::Env, "Environment variables of the process.");
const STEPS: Field = field("steps", Shape::StepsById, "The steps, in order.").required();

const MAX_PARALLELISM: Field =
    field("max_parallelism", Shape::Count(1, COUNT_MAX), "How many run at once.").or(&["max_concurrency"]);
const ERROR_MODE: Field = field(
    "error_mode",
    Shape::Word(&["fail_slow", "fail_fast", "best_effort"]),
    "What a failed branch does to the others.",
);
const ON_CONFLICT: Field = field(
    "on_conflict",
    Shape::OnConflict,
    "What happens where two branches changed the same part of the state: error, first, last, merge, or the name of a function.",
);

const fn kind_of(name: &'static str, build: Build, doc: &'static str, fields: &'static [Field]) -> Kind {
    Kind { name, aliases: &[], doc, markers: &[], fields, build }
}

impl Kind {
    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn told_by(mut self, markers: &'static [&'static str]) -> Self {
        self.markers = markers;
        self
    }
}

/// All step types of the specification.
pub(crate) const KINDS: &[Kind] = &[
    kind_of("tool", Build::Activity("tool"), "Calls a tool.", &[
        field("tool", Shape::Text, "The tool's name.").required(),
        PARAMS,
    ])
    .told_by(&["tool"]),
    kind_of("agent", Build::Activity("agent"), "Asks an agent.", &[
        field("agent", Shape::Text, "The agent's name.").required(),
        PARAMS,
    ])
    .told_by(&["agent"]),
    kind_of("persona-request", Build::Activity("persona"), "Sends a request to a persona.", &[
        field("persona", Shape::Text, "The persona's name.").required(),
        PARAMS,
    ])
    .told_by(&["persona"]),
    kind_of("function", Build::Activity("function"), "Calls a registered function.", &[
        field("function", Shape::Text, "The function's name.").required(),
        PARAMS,
    ])
    .told_by(&["function"]),
    kind_of("shell", Build::Shell, "Runs a command. The output is {stdout, stderr, exit_code}.", &[
        field("command", Shape::Text, "A command line for `sh -c`."),
        field("argv", Shape::Items, "A program and its arguments, without a shell."),
        field("cwd", Shape::Text, "The working directory."),
        field("stdin", Shape::Any, "What the process reads."),
        field("allow_failure", Shape::Bool, "Whether another exit code than 0 is a result like any other."),
        ENV,
        PARAM_OBJECT,
    ])
    .told_by(&["command", "argv"]),
    kind_of("http", Build::Http, "Sends an HTTP request by the tool http_requester.", &[
        field("url", Shape::Text, "The address.").or(&["input"]),
        field("method", Shape::Text, "The method."),
        field("headers", Shape::Given, "The headers."),
        field("body", Shape::Any, "The body."),
        field("auth", Shape::Given, "How it authenticates."),
        PARAM_OBJECT,
    ])
    .told_by(&["url"]),
    kind_of("git-operation", Build::Git, "Runs a git operation.", &[
        field("operation", Shape::Text, "The operation, such as commit, push or merge."),
        field("branch", Shape::Text, "The branch it is about."),
        field("message", Shape::Text, "The commit message."),
        ENV,
        PARAM_OBJECT,
    ])
    .or(&["git_operation"])
    .told_by(&["operation"]),
    kind_of("sequence", Build::Sequence, "Runs steps in order, or as a graph if any of them has dependencies.", &[STEPS]).told_by(&["steps"]),
    kind_of("conditional", Build::Conditional, "Runs one of two lists of steps.", &[
        field("condition", Shape::Expression, "Chooses the list.").or(CONDITION_ALIASES).required(),
        field("then_steps", Shape::Block, "Runs where the condition is true: steps, or ids of steps of the same list.").or(&["then"]),
        field("else_steps", Shape::Block, "Runs where the condition is false: steps, or ids of steps of the same list.").or(&["else"]),
        field("only_if", Shape::Expression, "The whole block is skipped where this is false."),
    ])
    .told_by(&["then_steps", "then", "else_steps", "else"]),
    kind_of("switch", Build::Switch, "Runs the list of the first case that holds.", &[
        field("cases", Shape::Cases, "The cases in the order they are tried, each {when, steps}.").required(),
        field("default", Shape::Block, "Runs where no case holds."),
    ])
    .told_by(&["cases"]),
    kind_of("route", Build::Route, "Goes from step to step by their next_step, backward too.", &[
        STEPS,
        field("start_step", Shape::Text, "The first step; the first of the list where it is not given.").or(&["start", "initial_step"]),
        field("max_transitions", Shape::Count(1, COUNT_MAX), "How often it may go from one step to another.").or(&["transitions_max"]),
    ])
    .told_by(&["start_step", "initial_step"]),
    kind_of("parallel", Build::Parallel, "Runs branches at the same time and joins them.", &[
        field("steps", Shape::Members, "The branches, each a step.").or(&["branches", "parallel_steps"]).required(),
        field("wait_for", Shape::Word(&["all", "any"]), "all of them, or any one, which cancels the rest."),
        MAX_PARALLELISM,
        ERROR_MODE,
        field("aggregation", Shape::Aggregation, "How many must succeed, and what the output is made of: all, first, partial:N, majority, or the name of a function."),
        ON_CONFLICT,
        field("output", Shape::Word(&["values", "by_branch"]), "A list of outputs, or an object by branch."),
        field("branch_timeout", Shape::Delay, "How long each branch may take."),
    ])
    .told_by(&["parallel_steps"]),
    kind_of("fork-join", Build::ForkJoin, "Runs named branches of several steps; the output is an object by branch.", &[
        field("branches", Shape::Branches, "The branches by name, each {steps, timeout}.").required(),
        field("join_policy", Shape::Word(&["all", "any", "majority", "n_of_m"]), "How many branches must succeed."),
        field("n_required", Shape::Count(1, COUNT_MAX), "How many, for n_of_m."),
        MAX_PARALLELISM,
        ERROR_MODE,
        ON_CONFLICT,
        field("branch_timeout", Shape::Delay, "How long each branch may take."),
    ])
    .or(&["fork_join"])
    .told_by(&["join_policy"]),
    kind_of("loop", Build::Loop, "Runs steps once an item, a number, or while a condition holds.", &[
        field("items", Shape::Items, "A list, or a reference to one.").or(&["collection"]),
        field("range", Shape::Range, "Numbers: {start, end, step}."),
        field("while", Shape::Expression, "Runs as long as this is true."),
        field("steps", Shape::Steps, "What runs in each iteration.").or(&["loop_body", "body"]).required(),
        field("mode", Shape::Word(&["sequential", "parallel"]), "One iteration after the other, or several at once.").or(&["execution_mode"]),
        MAX_PARALLELISM,
        field("max_iterations", Shape::Count(1, u64::MAX), "Only the first so many iterations run."),
        field("until", Shape::Expression, "Ends the loop after the iteration in which it is true.").or(&["break_condition"]),
        field("on_error", Shape::LoopOnError, "What a failed iteration does: stop, continue or collect."),
        field("on_iteration_error", Shape::Word(&["stop", "continue", "collect"]), "The same, where on_error says what the failure of the whole loop does."),
    ])
    .or(&["foreach"])
    .told_by(&["items", "collection", "range", "while", "loop_body"]),
    kind_of("set", Build::Set, "Sets keys of the run's state; the object is also the output.", &[field("params", Shape::Object, "State keys and their values.").or(&["with", "config", "parameters"]).required()]),
    kind_of("sleep", Build::Sleep, "Waits.", &[field("duration", Shape::Delay, "How long.").required()]).told_by(&["duration", "duration_ms", "duration_seconds"]),
    kind_of("wait_for_event", Build::WaitForEvent, "Waits for an event from outside, such as `spellflow signal`.", &[
        field("event", Shape::Text, "Its name; may hold references.").required(),
        field("filter", Shape::Expression, "Only an event, as `event`, for which this is true; others are left for other steps."),
        field("on_timeout", Shape::Word(&["fail", "continue"]), "What becomes of the step when none comes within its `timeout`."),
    ])
    .or(&["wait_for"])
    .told_by(&["event"]),
    kind_of("validate", Build::Validate, "Checks data; all violations at once.", &[
        field("data", Shape::Any, "What is checked; also the output.").required(),
        field("schema", Shape::Given, "A JSON Schema.").or(&["json_schema"]),
        field("assertions", Shape::Expressions, "Expressions that must hold, with the data as `data`."),
        field("validator", Shape::Validator, "A function that answers with a list of errors."),
        field("mode", Shape::Word(&["strict", "warn"]), "Whether a violation fails the step."),
        field("transform", Shape::Given, "What to make of the data once it is valid.").or(&["transformations"]),
    ])
    .told_by(&["assertions"]),
    kind_of("workflow", Build::Workflow, "Runs another workflow, as a run of its own.", &[
        field("workflow", Shape::Text, "Its name under `workflows`, or a file relative to this one.").required(),
        field("version", Shape::Version, "The version that it must have."),
        field("input", Shape::Any, "Its input; texts in it may hold references.").or(&["params", "with", "input_mapping"]),
    ])
    .or(&["sub_workflow", "sub-workflow"])
    .told_by(&["workflow"]),
    kind_of("approval", Build::Missing, "approvals", &[]),
    kind_of("emit", Build::Missing, "emitting events", &[]),
    kind_of("state_machine", Build::Missing, "state machines", &[]).or(&["state-machine"]).told_by(&["states"]),
    kind_of("stream", Build::Missing, "streams", &[]),
];
