use llmspell_workflows_basic::model::{
    ActivityCall, ActivityName, Aggregation, Branch, Case, Conditional, ErrorMode, IterationErrors, IterationMode,
    Loop, OnConflict, OnTimeout, Over, Parallel, ParallelOutput, StepKind, Switch, Validate, ValidateMode,
};
use serde_json::Value;

use super::{Fields, Yaml, step};
use crate::dialect::{Build, kind as dialect_kind};

/// The type of a step, and its fields beside those of any step.
pub(super) fn kind(kind: &StepKind) -> (&str, Fields) {
    let mut out = Fields::default();
    match kind {
        StepKind::Activity(call) => activity(call, &mut out),
        StepKind::Sequence(steps) => out.put("steps", step::list(steps)),
        StepKind::Conditional(block) => conditional(block, &mut out),
        StepKind::Switch(block) => switch(block, &mut out),
        StepKind::Route(route) => {
            out.put("start_step", &route.start);
            out.put_some("max_transitions", route.transitions_max.map(|count| Yaml::Value(count.into())));
            out.put("steps", step::route_list(&route.steps));
        }
        StepKind::Loop(block) => repeat(block, &mut out),
        StepKind::Parallel(block) => parallel(block, &mut out),
        StepKind::Set(values) => out.put("params", Value::Object(values.clone())),
        StepKind::Sleep(duration) => out.put("duration", duration.to_string()),
        StepKind::Workflow(sub) => {
            out.put("workflow", &sub.workflow);
            out.put_some("version", sub.version.as_deref());
            if !sub.input.is_null() {
                out.put("input", &sub.input);
            }
        }
        StepKind::WaitForEvent(wait) => {
            out.put("event", &wait.event);
            out.put_some("filter", wait.filter.as_deref());
            if wait.on_timeout == OnTimeout::Continue {
                out.put("on_timeout", "continue");
            }
        }
        StepKind::Validate(check) => validate(check, &mut out),
        other => unreachable!("the printer knows every kind of step, and not {}", other.as_str()),
    }
    (kind.as_str(), out)
}

fn activity(call: &ActivityCall, out: &mut Fields) {
    let ActivityName { kind, name } = &call.activity;
    if !name.is_empty() {
        let field = match dialect_kind(kind).map(|kind| kind.build) {
            Some(Build::Activity(field)) => field,
            Some(Build::Git) => "operation",
            _ => "activity",
        };
        out.put(field, name);
    }
    if !call.params.is_null() {
        out.put("params", &call.params);
    }
}

fn conditional(block: &Conditional, out: &mut Fields) {
    out.put("condition", &block.condition);
    out.put("then_steps", step::list(&block.then));
    if !block.otherwise.is_empty() {
        out.put("else_steps", step::list(&block.otherwise));
    }
}

fn switch(block: &Switch, out: &mut Fields) {
    let case = |case: &Case| {
        let mut out = Fields::default();
        out.put("when", &case.when);
        out.put("steps", step::list(&case.steps));
        out.into()
    };
    out.put("cases", Yaml::List(block.cases.iter().map(case).collect()));
    if !block.default.is_empty() {
        out.put("default", step::list(&block.default));
    }
}

fn repeat(block: &Loop, out: &mut Fields) {
    match &block.over {
        Over::Items(items) => out.put("items", items),
        Over::While(condition) => out.put("while", condition),
        Over::Range { start, end, step } => {
            let mut range = Fields::default();
            range.put("start", start);
            range.put("end", end);
            range.put("step", step);
            out.put("range", range);
        }
    }
    if block.mode == IterationMode::Parallel {
        out.put("mode", "parallel");
    }
    out.put_some("max_parallelism", block.max_parallelism.map(|count| Yaml::Value(count.into())));
    out.put_some("max_iterations", block.max_iterations.map(|count| Yaml::Value(count.into())));
    out.put_some("until", block.until.as_ref());
    out.put("steps", step::list(&block.steps));
}

/// What a failed iteration does, in the words of the dialect.
pub(super) fn iteration_errors(errors: IterationErrors) -> &'static str {
    match errors {
        IterationErrors::Stop => "stop",
        IterationErrors::Continue => "continue",
        IterationErrors::Collect => "collect",
    }
}

fn parallel(block: &Parallel, out: &mut Fields) {
    out.put_some("max_parallelism", block.max_parallelism.map(|count| Yaml::Value(count.into())));
    match block.error_mode {
        ErrorMode::FailSlow => {}
        ErrorMode::FailFast => out.put("error_mode", "fail_fast"),
        ErrorMode::BestEffort => out.put("error_mode", "best_effort"),
    }
    match &block.aggregation {
        Aggregation::All => {}
        Aggregation::Custom(name) => out.put("aggregation", custom(name, AGGREGATIONS)),
        other => out.put("aggregation", other.to_string()),
    }
    if block.output == ParallelOutput::ByBranch {
        out.put("output", "by_branch");
    }
    match &block.on_conflict {
        OnConflict::Error => {}
        OnConflict::First => out.put("on_conflict", "first"),
        OnConflict::Last => out.put("on_conflict", "last"),
        OnConflict::Merge => out.put("on_conflict", "merge"),
        OnConflict::Custom(name) => out.put("on_conflict", custom(name, &["error", "first", "last", "merge"])),
    }
    out.put_some("branch_timeout", block.branch_timeout.as_ref().map(ToString::to_string));
    let branch = |branch: &Branch| {
        let mut out = step::step(&branch.step, None);
        if branch.required {
            out.put("required", Yaml::Value(true.into()));
        }
        out.into()
    };
    out.put("branches", Yaml::List(block.branches.iter().map(branch).collect()));
}

const AGGREGATIONS: &[&str] = &["all", "first", "majority", "weighted", "partial"];

/// The name of a function, spelled out where it could be taken for one of `words`.
fn custom(name: &str, words: &[&str]) -> Yaml {
    if !words.contains(&name) && !name.starts_with("partial:") {
        return name.into();
    }
    let mut out = Fields::default();
    out.put("custom", name);
    out.into()
}

fn validate(check: &Validate, out: &mut Fields) {
    out.put("data", &check.data);
    out.put_some("schema", check.schema.as_ref());
    out.put_some("validator", check.validator.as_ref().map(validator));
    out.put_texts("assertions", &check.assertions);
    if check.mode == ValidateMode::Warn {
        out.put("mode", "warn");
    }
    out.put_some("transform", check.transform.as_ref());
}

fn validator(name: &ActivityName) -> Yaml {
    if !name.kind.contains(':') && !name.name.is_empty() {
        return name.to_string().into();
    }
    let mut out = Fields::default();
    out.put("kind", &name.kind);
    out.put_some("name", Some(&name.name).filter(|name| !name.is_empty()));
    out.into()
}
