use llmspell_workflows_basic::model::{Definition, Durability, InputSpec, IterationErrors, Migration, StepKind};

use super::{Yaml, YamlMap, step};
use crate::kinds;

/// Returns the fields of a definition in canonical order.
pub(super) fn definition(definition: &Definition) -> YamlMap {
    let mut out = YamlMap::default();
    out.put("name", &definition.name);
    for (name, text) in [("version", &definition.version), ("description", &definition.description)] {
        out.put_some(name, Some(text).filter(|text| !text.is_empty()));
    }
    out.put_some("author", definition.author.as_ref());
    out.put_texts("tags", &definition.tags);
    out.put_texts("required_tools", &definition.required_tools);
    values(definition, &mut out);
    run_settings(definition, &mut out);
    body(&definition.body, &mut out);
    if !definition.on_error.is_empty() {
        out.put("on_error", step::list(&definition.on_error));
    }
    if !definition.finally.is_empty() {
        out.put("finally", step::list(&definition.finally));
    }
    match definition.durability {
        Durability::Sync => {}
        Durability::Async => out.put("durability", "async"),
        Durability::None => out.put("durability", "none"),
    }
    mapping(&mut out, "migrations", definition.migrations.iter().map(|(from, one)| (from, migration(one))));
    mapping(
        &mut out,
        "workflows",
        definition.workflows.iter().map(|(name, inner)| (name, self::definition(inner).into())),
    );
    out.put_some("outputs", definition.outputs.as_ref());
    out
}

fn values(definition: &Definition, out: &mut YamlMap) {
    mapping(out, "inputs", definition.inputs.iter().map(|(name, spec)| (name, input(spec))));
    mapping(out, "variables", definition.variables.iter().map(|(name, value)| (name, value.into())));
    let environment = |variables: &indexmap::IndexMap<String, serde_json::Value>| {
        Yaml::Map(YamlMap(variables.iter().map(|(name, value)| (name.clone(), value.into())).collect()))
    };
    mapping(
        out,
        "environments",
        definition.environments.iter().map(|(name, variables)| (name, environment(variables))),
    );
    mapping(out, "conditions", definition.conditions.iter().map(|(name, text)| (name, text.into())));
    mapping(out, "context", definition.context.iter().map(|(name, value)| (name, value.into())));
    out.put_texts("secrets", &definition.secrets);
    out.put_texts("env", &definition.env);
}

fn run_settings(definition: &Definition, out: &mut YamlMap) {
    if let Some(condition) = &definition.trigger {
        let mut trigger = YamlMap::default();
        trigger.put("condition", condition);
        out.put("trigger", trigger);
    }
    mapping(
        out,
        "concurrency",
        definition.concurrency.iter().map(|(name, count)| (name, Yaml::Value((*count).into()))),
    );
    out.put_some("max_retry_budget", definition.retry_budget.map(|count| Yaml::Value(count.into())));
    if let Some(total) = &definition.total_timeout {
        let mut timeouts = YamlMap::default();
        timeouts.put("total", total.to_string());
        out.put("timeouts", timeouts);
    }
}

/// Prints the body as `steps` if it is a list or a route starting at its first step, and as
/// `body` otherwise.
fn body(body: &StepKind, out: &mut YamlMap) {
    match body {
        StepKind::Sequence(steps) => out.put("steps", step::list(steps)),
        StepKind::Route(route) if route.steps.first().is_some_and(|first| first.id == route.start) => {
            out.put_some("max_transitions", route.transitions_max.map(|count| Yaml::Value(count.into())));
            out.put("steps", step::route_list(&route.steps));
        }
        other => {
            let mut block = YamlMap::default();
            let fields = kinds::print(other);
            block.put("type", other.as_str());
            block.0.extend(fields.0);
            if let StepKind::Loop(repeat) = other
                && repeat.on_error != IterationErrors::default()
            {
                block.put("on_error", kinds::iteration_errors(repeat.on_error));
            }
            out.put("body", block);
        }
    }
}

fn mapping<'n>(out: &mut YamlMap, name: &str, entries: impl Iterator<Item = (&'n String, Yaml)>) {
    let fields = YamlMap(entries.map(|(name, value)| (name.clone(), value)).collect());
    if !fields.0.is_empty() {
        out.put(name, fields);
    }
}

fn migration(migration: &Migration) -> Yaml {
    let mut out = YamlMap::default();
    out.put_some("to", migration.to.as_ref());
    mapping(&mut out, "rename", migration.rename.iter().map(|(old, new)| (old, new.into())));
    mapping(&mut out, "set", migration.set.iter().map(|(key, value)| (key, value.into())));
    out.put_texts("remove", &migration.remove);
    out.put_some("function", migration.function.as_ref());
    out.into()
}

fn input(spec: &InputSpec) -> Yaml {
    let mut out = YamlMap::default();
    out.put_some("type", spec.kind.map(|kind| kind.as_str()));
    if spec.required {
        out.put("required", Yaml::Value(true.into()));
    }
    out.put_some("default", spec.default.as_ref());
    out.put_some("description", spec.description.as_ref());
    out.into()
}
