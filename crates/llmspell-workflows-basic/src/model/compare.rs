//! Compares two versions of a definition to find step results that remain valid.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};

use super::{Definition, OnError, Step, StepKind};
use crate::expr::{Expr, Key, Reference, Template};

/// The difference between a step and its new version, apart from the steps inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepChange {
    /// No difference that affects a run.
    Nothing,
    /// The step is executed differently: its retries, timeouts, limits, handlers or compensation
    /// have changed. If the step has completed, its result is still valid.
    Handling,
    /// The block uses the results of the steps inside it differently, for example because
    /// `aggregation` or `max_iterations` has changed. These results are still valid, but the
    /// block's result is not.
    Conclusion,
    /// The step does something different.
    Work,
}

/// The fields of a step that do not affect a completed result.
const HANDLING: [&str; 7] = ["retry", "timeout", "total_timeout", "on_error", "limits", "compensate", "at_most_once"];

/// The id of the placeholder for a step inside another step.
const PLACEHOLDER: &str = "\u{0}";

impl Step {
    /// Returns the difference between this step and `new`, apart from the steps inside them.
    #[must_use]
    pub fn change_to(&self, new: &Self) -> StepChange {
        let (old_fields, new_fields) = (fields(self), fields(new));
        let differing = |name: &&String| old_fields.get(name.as_str()) != new_fields.get(name.as_str());
        let names: BTreeSet<&String> = old_fields.keys().chain(new_fields.keys()).filter(differing).collect();
        let of_fields = names.into_iter().map(|name| match name.as_str() {
            "name" => StepChange::Nothing,
            name if HANDLING.contains(&name) => StepChange::Handling,
            _ => StepChange::Work,
        });
        of_fields.chain([change_of_kind(&self.kind, &new.kind)]).max().unwrap_or(StepChange::Nothing)
    }

    /// Returns whether an expression of the step itself reads one of `names`.
    #[must_use]
    pub fn reads<'n>(&self, names: &'n ChangedNames) -> Option<&'n str> {
        let fields = Value::Object(fields(self));
        let kind = serde_json::to_value(without_steps(&self.kind)).unwrap_or_default();
        names.read_by(&fields).or_else(|| names.read_by(&kind))
    }
}

impl Step {
    /// Returns the secrets that the step itself reads, excluding the steps inside it.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<String> {
        let kind = serde_json::to_value(without_steps(&self.kind)).unwrap_or_default();
        let mut found = BTreeSet::new();
        for value in [Value::Object(fields(self)), kind] {
            visit_references(&value, &mut |reference| {
                let name = reference.keys.first().filter(|_| reference.name == "secrets");
                if let Some(Key::Name(name)) = name {
                    found.insert(name.clone());
                }
            });
        }
        found
    }
}

/// Calls `visit` with each reference in the expressions and templates in `value`. Plain text that
/// happens to be a valid expression also counts.
fn visit_references(value: &Value, visit: &mut impl FnMut(&Reference)) {
    match value {
        Value::String(text) => {
            let expression = Expr::parse(text).ok();
            let template = Template::parse(value).ok();
            expression.iter().flat_map(Expr::references).for_each(&mut *visit);
            template.iter().flat_map(Template::references).for_each(|found| visit(found.reference));
        }
        Value::Array(items) => items.iter().for_each(|item| visit_references(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| visit_references(field, visit)),
        _ => {}
    }
}

/// Returns the fields of a step except its kind and the steps inside it.
fn fields(step: &Step) -> Map<String, Value> {
    let on_error = match &step.on_error {
        OnError::Steps(_) => OnError::Steps(Vec::new()),
        other => other.clone(),
    };
    let own = Step { kind: StepKind::Sequence(Vec::new()), on_error, ..step.clone() };
    match serde_json::to_value(own) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("kind");
            fields.remove("id");
            fields
        }
        _ => Map::new(),
    }
}

/// Returns `kind` with placeholders instead of the steps inside it.
fn without_steps(kind: &StepKind) -> StepKind {
    let mut own = kind.clone();
    for step in own.steps_mut() {
        *step = Arc::new(Step::new(format!("{PLACEHOLDER}{}", step.id), StepKind::Sequence(Vec::new())));
    }
    own
}

fn change_of_kind(old: &StepKind, new: &StepKind) -> StepChange {
    let is_graph = |kind: &StepKind| {
        let list = kind.list();
        list.is_some_and(|steps| steps.iter().any(|step| !step.dependencies.is_empty()))
    };
    if old.as_str() != new.as_str() || is_graph(old) != is_graph(new) {
        return StepChange::Work;
    }
    let own = |kind: &StepKind| {
        let mut value = serde_json::to_value(without_steps(kind)).unwrap_or_default();
        let mut elements = Map::new();
        take_placeholders(&mut value, &mut elements);
        // A kind serializes as an object with one field, named after the kind.
        let value = match value {
            Value::Object(kind) if kind.len() == 1 => kind.into_iter().next().map(|(_, value)| value),
            other => Some(other),
        };
        (value.unwrap_or_default(), elements)
    };
    let ((old_value, old_elements), (new_value, new_elements)) = (own(old), own(new));
    // Steps that exist in only one version are compared elsewhere.
    let is_same_element = |(id, element): (&String, &Value)| new_elements.get(id).is_none_or(|new| new == element);
    let of_elements = match old_elements.iter().all(is_same_element) {
        true => StepChange::Nothing,
        false => StepChange::Conclusion,
    };
    let of_fields = match (&old_value, &new_value) {
        (old, new) if old == new => StepChange::Nothing,
        (Value::Object(old_fields), Value::Object(new_fields)) => {
            let names = old_fields.keys().chain(new_fields.keys());
            let mut differing = names.filter(|name| old_fields.get(*name) != new_fields.get(*name));
            let is_conclusion = |name: &String| {
                let variants = [old_fields, new_fields].map(|fields| fields.get(name).and_then(variant));
                let full = match variants {
                    [Some(old), Some(new)] if old == new => format!("{name}/{old}"),
                    _ => name.clone(),
                };
                old.traits().conclusion.contains(&full.as_str())
            };
            match differing.all(is_conclusion) {
                true => StepChange::Conclusion,
                false => StepChange::Work,
            }
        }
        _ => StepChange::Work,
    };
    of_elements.max(of_fields)
}

/// Returns the name of the variant, if `value` is an enum variant with data.
fn variant(value: &Value) -> Option<&String> {
    value.as_object().filter(|fields| fields.len() == 1)?.keys().next()
}

/// Removes the placeholders from the arrays in `value`. Array items that contain more than a
/// placeholder, such as the settings of a branch, are moved to `elements` under the step's id.
fn take_placeholders(value: &mut Value, elements: &mut Map<String, Value>) {
    let placeholder = |value: &Value| {
        let id = value.get("id")?.as_str()?.strip_prefix(PLACEHOLDER)?;
        Some(id.to_owned())
    };
    match value {
        Value::Array(items) => {
            items.retain_mut(|item| {
                if placeholder(item).is_some() {
                    return false;
                }
                let Value::Object(fields) = item else { return true };
                let Some(id) = fields.values().find_map(placeholder) else { return true };
                fields.retain(|_, value| placeholder(value).is_none());
                elements.insert(id, item.take());
                false
            });
            items.iter_mut().for_each(|item| take_placeholders(item, elements));
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| take_placeholders(field, elements)),
        _ => {}
    }
}

/// The names whose meaning differs in a new version of a definition: variables, conditions,
/// constants, and fields of the input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedNames(BTreeSet<(&'static str, String)>);

impl ChangedNames {
    /// Compares two versions of a definition, for a run in `environment` whose input fields
    /// `inputs` have different values.
    #[must_use]
    pub fn between<'i>(
        old: &Definition,
        new: &Definition,
        environment: Option<&str>,
        inputs: impl IntoIterator<Item = &'i str>,
    ) -> Self {
        let mut names = Self(inputs.into_iter().map(|name| ("input", name.to_owned())).collect());
        let variables = |definition: &Definition| {
            let mut all: Map<String, Value> = definition.variables.clone().into_iter().collect();
            let chosen = environment.and_then(|name| definition.environments.get(name));
            all.extend(chosen.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
            all
        };
        let conditions = |definition: &Definition| {
            let all = definition.conditions.iter();
            all.map(|(name, text)| (name.clone(), Value::String(text.clone()))).collect::<Map<_, _>>()
        };
        let context = |definition: &Definition| definition.context.clone().into_iter().collect::<Map<_, _>>();
        let workflow = |definition: &Definition| {
            let own = [("name", &definition.name), ("version", &definition.version)];
            own.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).into_iter().collect::<Map<_, _>>()
        };
        let all = [
            ("workflow", workflow(old), workflow(new)),
            ("variables", variables(old), variables(new)),
            ("conditions", conditions(old), conditions(new)),
            ("context", context(old), context(new)),
        ];
        loop {
            let before = names.0.len();
            for (root, old, new) in &all {
                for name in old.keys().chain(new.keys()) {
                    let is_changed = old.get(name) != new.get(name)
                        || new.get(name).is_some_and(|value| names.read_by(value).is_some());
                    if is_changed {
                        names.0.insert((root, name.clone()));
                    }
                }
            }
            if names.0.len() == before {
                return names;
            }
        }
    }

    /// Returns a changed name that an expression in `value` reads.
    fn read_by(&self, value: &Value) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let mut found = None;
        visit_references(value, &mut |reference| found = found.or_else(|| self.named(reference)));
        found
    }

    fn named(&self, reference: &Reference) -> Option<&str> {
        let key = reference.keys.first().and_then(|key| match key {
            Key::Name(name) => Some(name),
            Key::Index(_) => None,
        });
        let is_read = |root: &str, name: &str| {
            let is_root = reference.name == root || (root == "input" && reference.name == "task");
            // Facts about the workflow cannot be read by a short name.
            (is_root && key.is_none_or(|key| key == name)) || (root != "workflow" && reference.name == name)
        };
        self.0.iter().find(|(root, name)| is_read(root, name)).map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Aggregation, Branch, Conditional, Loop, LoopSource, Parallel, Retry};

    fn shell(id: &str, command: &str) -> Step {
        Step::tool(id, "shell", json!({"command": command}))
    }

    #[test]
    fn the_most_far_reaching_field_change_determines_the_step_change() {
        let step = || shell("a", "make");
        let each = || Loop::items(json!([1, 2]), [shell("inner", "one")]);
        let both = || Parallel::new([shell("x", "1"), shell("y", "2")]);
        let list = |steps: Vec<Step>| Step::sequence("a", steps);
        let choice = |condition: &str| Conditional::new(condition, [shell("t", "1")], []).into_step("a");
        for (name, old, new, expected) in [
            ("nothing", step(), step(), StepChange::Nothing),
            ("a name", step(), Step { name: Some("A".into()), ..step() }, StepChange::Nothing),
            ("a retry", step(), step().with_retry(Retry::attempts(3)), StepChange::Handling),
            ("dependencies", step(), step().after(["z"]), StepChange::Work),
            (
                "a list that becomes a graph",
                list(vec![step(), shell("b", "x")]),
                list(vec![step(), shell("b", "x").after(["a"])]),
                StepChange::Work,
            ),
            ("a handler", step(), step().with_on_error(OnError::Continue), StepChange::Handling),
            ("a condition", step(), step().when("x"), StepChange::Work),
            ("a parameter", step(), shell("a", "make all"), StepChange::Work),
            ("the kind", step(), Step::set("a", Map::new()), StepChange::Work),
            ("a step inside", list(vec![step()]), list(vec![shell("b", "x"), shell("a", "y")]), StepChange::Nothing),
            (
                "an inner step of a loop",
                each().into_step("a"),
                Loop { steps: vec![Arc::new(shell("inner", "two"))], ..each() }.into_step("a"),
                StepChange::Nothing,
            ),
            (
                "the items",
                each().into_step("a"),
                Loop { over: LoopSource::Items(json!([1])), ..each() }.into_step("a"),
                StepChange::Work,
            ),
            (
                "the number of iterations",
                each().into_step("a"),
                Loop { max_iterations: Some(9), ..each() }.into_step("a"),
                StepChange::Conclusion,
            ),
            (
                "an aggregation",
                both().into_step("a"),
                both().with_aggregation(Aggregation::First).into_step("a"),
                StepChange::Conclusion,
            ),
            (
                "a required branch",
                both().into_step("a"),
                Parallel {
                    branches: both().branches.into_iter().map(|b| Branch { required: true, ..b }).collect(),
                    ..both()
                }
                .into_step("a"),
                StepChange::Conclusion,
            ),
            (
                "another branch",
                both().into_step("a"),
                Parallel::new([shell("x", "1"), shell("y", "2"), shell("z", "3")]).into_step("a"),
                StepChange::Nothing,
            ),
            ("the condition of a choice", choice("x"), choice("y"), StepChange::Work),
        ] {
            assert_eq!(old.change_to(&new), expected, "{name}");
        }
    }

    #[test]
    fn changed_names_are_found_directly_and_through_other_names() {
        let definition = |version: &str, check: &str| {
            let mut definition = Definition::sequence("d", []);
            definition.variables.insert("version".into(), json!(version));
            definition.variables.insert("tag".into(), json!("v{{ version }}"));
            definition.variables.insert("other".into(), json!("x"));
            definition.conditions.insert("ready".into(), check.into());
            definition
        };
        let names = ChangedNames::between(&definition("1", "other"), &definition("2", "other"), None, ["who"]);
        let reads = |text: &str| shell("a", text).reads(&names);
        assert_eq!(reads("echo {{ variables.version }}"), Some("version"));
        assert_eq!(reads("echo {{ tag }}"), Some("tag"));
        assert_eq!(reads("echo {{ input.who }}"), Some("who"));
        assert_eq!(reads("echo {{ other }} {{ variables.other }} {{ steps.tag.x }}"), None);
        assert_eq!(shell("a", "x").when("ready").reads(&names), None);
        let numbered = |version: &str| Definition { version: version.into(), ..definition("1", "other") };
        let names = ChangedNames::between(&numbered("1"), &numbered("2"), None, []);
        assert_eq!(shell("a", "{{ workflow.version }}").reads(&names), Some("version"));
        assert_eq!(shell("a", "{{ version }} {{ workflow.name }} {{ variables.version }}").reads(&names), None);
        let names = ChangedNames::between(&definition("1", "other"), &definition("1", "tag == 'v1'"), None, []);
        assert_eq!(shell("a", "x").when("ready").reads(&names), Some("ready"));
        assert_eq!(shell("a", "x").when("conditions.ready").reads(&names), Some("ready"));
    }

    #[test]
    fn conclusion_lists_only_fields_that_the_kind_has() {
        let mut each = Loop::new(LoopSource::While("x".into()), []);
        (each.max_parallelism, each.max_iterations, each.until) = (Some(1), Some(1), Some("x".into()));
        each.on_conflict = crate::model::OnConflict::Last;
        let mut both = Parallel::new([]);
        (both.max_parallelism, both.branch_timeout) = (Some(1), Some(std::time::Duration::from_secs(1).into()));
        let route = crate::model::Route { start: "a".into(), steps: Vec::new(), transitions_max: Some(3) };
        for kind in [StepKind::Loop(each), StepKind::Parallel(both), StepKind::Route(route)] {
            let value = serde_json::to_value(&kind).unwrap();
            let fields = value.as_object().and_then(|kind| kind.values().next()).unwrap();
            assert!(!kind.traits().conclusion.is_empty());
            for name in kind.traits().conclusion {
                let pointer = format!("/{name}");
                assert!(fields.pointer(&pointer).is_some(), "{} has no field `{name}`", kind.as_str());
            }
        }
    }
}
