use std::sync::Arc;

use llmspell_workflows_basic::model::{
    Backoff, Delay, IterationErrors, OnError, Retry, Step, StepKind, Transition, TriggerRule,
};
use serde_json::{Number, Value};

use super::{Yaml, YamlMap};
use crate::kinds::{self, Kind};

/// Prints the steps of a list.
pub(crate) fn list(steps: &[Arc<Step>]) -> Yaml {
    Yaml::List(steps.iter().map(|each| step(each, None).into()).collect())
}

/// Prints the steps of a route, each with `next_step`.
pub(crate) fn route_list(steps: &[Arc<Step>]) -> Yaml {
    // If a step has the id `end`, null ends the route instead.
    let end = if steps.iter().any(|step| step.id == "end") { Value::Null } else { "end".into() };
    Yaml::List(steps.iter().map(|each| step(each, Some(&end)).into()).collect())
}

/// Returns the fields of a step in canonical order; in a route, `end` is the target that ends the route.
pub(crate) fn step(step: &Step, end: Option<&Value>) -> YamlMap {
    let mut out = YamlMap::default();
    out.put("id", &step.id);
    out.put_some("name", step.name.as_ref());
    let kind = step.kind.as_str();
    out.put("type", kind);
    out.put_texts("dependencies", &step.dependencies);
    let condition = kinds::kind(kind).map_or("condition", Kind::condition_field);
    out.put_some(condition, step.condition.as_ref());
    if step.trigger_rule != TriggerRule::default() {
        out.put("trigger_rule", step.trigger_rule.as_str());
    }
    if let Some(policy) = &step.retry {
        retry(policy, &mut out);
    }
    out.put_some("timeout", step.timeout.as_ref().map(Delay::to_string));
    out.put_some("total_timeout", step.total_timeout.as_ref().map(Delay::to_string));
    out.put_texts("limits", &step.limits);
    out.0.extend(kinds::print(&step.kind).0);
    on_error(step, &mut out);
    if step.at_most_once {
        out.put("at_most_once", Yaml::Value(true.into()));
    }
    if let Some(undo) = &step.compensate {
        out.put("compensate", self::step(undo, None));
    }
    match end {
        Some(end) => out.put("next_step", next(&step.next, end)),
        None if !step.next.is_empty() => out.put("next_step", next(&step.next, &Value::Null)),
        None => {}
    }
    out
}

fn on_error(step: &Step, out: &mut YamlMap) {
    if let StepKind::Loop(block) = &step.kind {
        let word = kinds::iteration_errors(block.on_error);
        match (&step.on_error, block.on_error) {
            (OnError::Fail, IterationErrors::Stop) => {}
            (OnError::Fail, _) => out.put("on_error", word),
            _ => out.put("on_iteration_error", word),
        }
    }
    match &step.on_error {
        OnError::Fail => {}
        OnError::Continue => out.put("on_error", "continue"),
        OnError::Steps(steps) => {
            let mut handler = YamlMap::default();
            handler.put("steps", list(steps));
            out.put("on_error", handler);
        }
    }
}

fn next(transitions: &[Transition], end: &Value) -> Yaml {
    match transitions {
        [] => end.into(),
        [Transition { condition: None, target: Some(target) }] => target.into(),
        transitions => {
            let print = |transition: &Transition| {
                let mut out = YamlMap::default();
                out.put_some("condition", transition.condition.as_ref());
                out.put("target", transition.target.as_ref().map_or_else(|| end.into(), Yaml::from));
                out.into()
            };
            Yaml::List(transitions.iter().map(print).collect())
        }
    }
}

fn retry(policy: &Retry, out: &mut YamlMap) {
    let default = Retry::attempts(policy.attempts_max);
    if *policy == default && policy.attempts_max > 0 {
        return out.put("retries", Yaml::Value((policy.attempts_max - 1).into()));
    }
    let mut long = YamlMap::default();
    if policy.backoff != default.backoff {
        long.put("strategy", strategy(policy.backoff));
    }
    long.put("max_attempts", Yaml::Value(policy.attempts_max.into()));
    for (name, duration, default) in [
        ("initial_delay", policy.initial_delay, default.initial_delay),
        ("max_delay", policy.delay_max, default.delay_max),
    ] {
        long.put_some(name, (duration != default).then(|| Delay::Fixed(duration).to_string()));
    }
    for (name, number, default) in
        [("multiplier", policy.multiplier, default.multiplier), ("jitter", policy.jitter, default.jitter)]
    {
        if number.to_bits() != default.to_bits() {
            long.put_some(name, Number::from_f64(number).map(|number| Yaml::Value(number.into())));
        }
    }
    long.put_texts("retry_on", &policy.on_errors);
    if !policy.on_status_codes.is_empty() {
        long.put("retry_on_status_codes", Yaml::Value(policy.on_status_codes.clone().into()));
    }
    if !policy.on_exit_codes.is_empty() {
        long.put("retry_on_exit_codes", Yaml::Value(policy.on_exit_codes.clone().into()));
    }
    long.put_some("max_duration", policy.duration_max.map(|duration| Delay::Fixed(duration).to_string()));
    out.put("retries", long);
}

fn strategy(backoff: Backoff) -> &'static str {
    match backoff {
        Backoff::Exponential => "exponential",
        Backoff::Linear => "linear",
        Backoff::Fixed => "fixed",
        Backoff::Immediate => "immediate",
    }
}
