use std::collections::BTreeSet;

use super::{Builder, in_scope::SiblingReference};
use crate::{
    Problem, ProblemLocation,
    expr::{Expr, Key, Reference, Template, is_shell_name},
    model::{StateKeys, Step, StepKind},
    nearest,
};

/// The names with a fixed meaning, regardless of the input.
pub(super) const ROOTS: [&str; 14] = [
    "input",
    "task",
    "variables",
    "steps",
    "step",
    "state",
    "context",
    "loop",
    "workflow",
    "run",
    "conditions",
    "env",
    "secrets",
    "event",
];

/// The names with a fixed meaning that have a value only with a further key, each with an example.
const NEED_KEYS: [(&str, &str); 8] = [
    ("steps", "steps.ID.output"),
    ("step", "step.started_at"),
    ("context", "context.state"),
    ("workflow", "workflow.input"),
    ("run", "run.id"),
    ("conditions", "conditions.NAME"),
    ("env", "env.NAME"),
    ("secrets", "secrets.NAME"),
];

impl Builder<'_> {
    /// Parses an expression and checks its references; an invalid expression is reported and becomes null.
    pub(crate) fn expression(&mut self, source: &str, place: &ProblemLocation) -> Expr {
        match Expr::parse(source) {
            Ok(expression) => {
                for reference in expression.references() {
                    self.reference(reference, &place.clone().with_span(reference.span.clone()));
                }
                expression
            }
            Err(error) => {
                let problem = Problem::error("expression_syntax", place.clone().with_span(error.span), error.message);
                self.problems.push(match error.help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
                null()
            }
        }
    }

    /// Parses a template and checks its references; an invalid template is reported and becomes null.
    pub(crate) fn template(&mut self, value: &serde_json::Value, path: &str, field: &str) -> Template {
        match Template::parse(value) {
            Ok(template) => {
                let outer = std::mem::replace(&mut self.names.in_template, true);
                let references = template.references();
                for same in references.chunk_by(|one, other| std::ptr::eq(one.expression, other.expression)) {
                    self.names.reached.begin(same.first().map(|found| found.expression));
                    for (number, found) in same.iter().enumerate() {
                        self.names.reached.at(number);
                        let span = found.reference.span.start + found.offset..found.reference.span.end + found.offset;
                        self.reference(
                            found.reference,
                            &ProblemLocation::new(path, join(field, found.pointer)).with_span(span),
                        );
                    }
                }
                drop(references);
                self.names.reached.begin(None);
                self.names.in_template = outer;
                template
            }
            Err(errors) => {
                for error in errors.0 {
                    let place = ProblemLocation::new(path, join(field, &error.pointer)).with_span(error.span());
                    let problem = Problem::error("expression_syntax", place, error.error.message);
                    self.problems.push(match error.error.help {
                        Some(help) => problem.with_help(help),
                        None => problem,
                    });
                }
                Template::parse(&serde_json::Value::Null).expect("null contains no expressions")
            }
        }
    }

    fn reference(&mut self, reference: &Reference, place: &ProblemLocation) {
        let key = reference.keys.first().and_then(|key| match key {
            Key::Name(name) => Some(name.as_str()),
            Key::Index(_) => None,
        });
        if key.is_none() && !reference.has_computed_key && self.needs_key(reference, place) {
            return;
        }
        if let Some(problem) = self.later_than_variables(reference, key, place) {
            return self.problems.push(problem);
        }
        match (reference.name.as_str(), key) {
            ("event", _) if !self.names.bindings.contains(&"event") => self.bare("event", reference, place),
            ("steps", Some(id)) => self.step_reference(id, reference, place, true),
            ("step", Some("started_at")) => self.names.reads_start = true,
            ("step", Some(id)) => self.step_reference(id, reference, place, true),
            ("variables", Some(name)) if !self.definition.variables.contains_key(name) => {
                let known: Vec<_> = self.definition.variables.keys().cloned().collect();
                self.unknown(reference, place, &format!("unknown variable `{name}`"), name, &known);
            }
            // In a compensation step, `input` is the input of the step being undone.
            ("input", _) if self.names.bindings.contains(&"input") => {}
            ("input", Some(name)) if self.undeclared(name) => self.undeclared_input(name, reference, place),
            ("input" | "task", Some(name)) => {
                self.record_field_read(name, reference);
                self.check_keys(&self.root_shape("input"), 0, reference, place);
            }
            ("conditions", Some(name)) if !self.definition.conditions.contains_key(name) => {
                let known: Vec<_> = self.definition.conditions.keys().cloned().collect();
                self.unknown(reference, place, &format!("unknown condition `{name}`"), name, &known);
            }
            ("env", Some(name)) if !self.definition.env.iter().any(|known| known == name) => {
                let known = self.definition.env.clone();
                let message = format!("the environment variable `{name}` is not listed under `env`");
                self.unknown(reference, place, &message, name, &known);
            }
            ("secrets", Some(name)) if !self.definition.secrets.iter().any(|known| known == name) => {
                let known = self.definition.secrets.clone();
                let message = format!("the secret `{name}` is not listed under `secrets`");
                self.unknown(reference, place, &message, name, &known);
            }
            ("loop", _) if self.names.loops == 0 => {
                let problem = match &self.names.undone {
                    Some(undone) => not_in_compensation(undone, reference, place, "`loop`"),
                    None => {
                        Problem::error("unknown_reference", place.clone(), "`loop` is available only inside a loop")
                            .with_help("use it in the steps of a `loop`")
                    }
                };
                self.problems.push(problem);
            }
            ("state", Some(name)) => self.state_reference(name, reference, place),
            ("context", Some("state")) => {
                if let Some(Key::Name(name)) = reference.keys.get(1) {
                    self.state_reference(name, reference, place);
                }
            }
            (name, _) if ROOTS.contains(&name) => self.check_keys(&self.root_shape(name), 0, reference, place),
            (name, _) => {
                if name == "error" && self.names.in_template && !reference.optional {
                    self.check_error_presence(reference, place);
                }
                self.bare(name, reference, place);
            }
        }
    }

    /// Reports a name that has a value only with a further key; returns whether it reported one.
    fn needs_key(&mut self, reference: &Reference, place: &ProblemLocation) -> bool {
        let name = reference.name.as_str();
        let Some((_, usual)) = NEED_KEYS.iter().find(|(known, _)| *known == name) else { return false };
        let definition = &self.definition;
        let known = match name {
            "steps" => self.names.ids().next().map(|id| format!("steps.{id}.output")),
            "conditions" => definition.conditions.keys().next().map(|known| format!("conditions.{known}")),
            "env" => definition.env.first().map(|known| format!("env.{known}")),
            "secrets" => definition.secrets.first().map(|known| format!("secrets.{known}")),
            _ => None,
        };
        let severity = if reference.optional { Problem::warning } else { Problem::error };
        let problem = severity("unknown_reference", place.clone(), format!("`{name}` has no value by itself"));
        let example = known.as_deref().unwrap_or(usual);
        self.problems.push(problem.with_help(format!("use one of its fields, such as `{example}`")));
        true
    }

    /// Records that a field of the input is read, if no inputs are declared.
    fn record_field_read(&mut self, name: &str, reference: &Reference) {
        if self.definition.inputs.is_empty() {
            // A named condition may read steps, which are known only where the condition is used.
            let is_needed = !reference.optional && !self.sets_any_state && !self.all_ids.contains(name);
            *self.fields_read.entry(name.to_owned()).or_default() |= is_needed;
        }
    }

    pub(crate) fn undeclared(&self, name: &str) -> bool {
        !self.definition.inputs.is_empty() && !self.definition.inputs.contains_key(name)
    }

    fn undeclared_input(&mut self, name: &str, reference: &Reference, place: &ProblemLocation) {
        let known: Vec<_> = self.definition.inputs.keys().cloned().collect();
        self.unknown(reference, place, &format!("unknown input `{name}`"), name, &known);
    }

    fn bare(&mut self, name: &str, reference: &Reference, place: &ProblemLocation) {
        let definition = self.definition.clone();
        let known = self.names.bindings.contains(&name)
            || definition.inputs.contains_key(name)
            || definition.variables.contains_key(name)
            || definition.conditions.contains_key(name);
        if known {
            let shape = match () {
                () if self.names.bindings.contains(&name) => self.root_shape(name),
                () => self.input_field_shape(name),
            };
            return self.check_keys(&shape, 0, reference, place);
        }
        if self.is_later(name) {
            return self.not_yet(name, reference, place);
        }
        if self.names.ids().any(|id| id == name) {
            return self.step_reference(name, reference, place, false);
        }
        if let Some(undone) = self.names.undone.clone().filter(|_| self.all_ids.contains(name) || self.sets_state(name))
        {
            let what = if self.sets_state(name) { "the state".to_owned() } else { format!("the step `{name}`") };
            return self.problems.push(not_in_compensation(&undone, reference, place, &what));
        }
        if !self.sets_state(name) {
            self.record_field_read(name, reference);
        }
        if reference.optional || self.sets_state(name) {
            return;
        }
        // A named condition may read steps, which are known only where the condition is used.
        let in_condition = self.names.enclosing.is_empty() && !self.names.in_template;
        if definition.inputs.is_empty() && self.all_ids.contains(name) && !in_condition {
            let message = format!("the step `{name}` is not visible here, so `{name}` is read as a field of the input");
            let problem = Problem::warning("unknown_reference", place.clone(), message);
            let help =
                "a step sees only earlier steps of its own list and of enclosing lists; for a block, read its output";
            return self.problems.push(problem.with_help(help));
        }
        let mut names: Vec<String> = definition.inputs.keys().chain(definition.variables.keys()).cloned().collect();
        names.extend(self.names.ids().map(str::to_owned));
        names.extend(self.names.bindings.iter().map(|name| (*name).to_owned()));
        if is_shell_name(name) && nearest(name, names.iter().map(String::as_str)).is_none() {
            let place = place.clone();
            let problem = match definition.inputs.is_empty() {
                true => {
                    let message = format!("`{name}` is read as a field of the input");
                    Problem::warning("unknown_reference", place, message)
                }
                false => Problem::error("unknown_reference", place, format!("`{name}` is not defined")),
            };
            let help = format!("if it is a shell variable, write `${name}` or `\\${{{name}}}`");
            self.problems.push(problem.with_help(help));
        } else if !definition.inputs.is_empty() {
            self.unknown(reference, place, &format!("`{name}` is not defined"), name, &names);
        } else if let Some(near) = nearest(name, names.iter().map(String::as_str).chain(ROOTS)) {
            // Without declared inputs, any name may be a field of the input, so a likely typo is only a warning.
            let message = format!("`{name}` is read as a field of the input");
            let problem = Problem::warning("unknown_reference", place.clone(), message);
            self.problems.push(problem.with_help(format!("did you mean `{near}`?")));
        }
    }

    fn step_reference(&mut self, id: &str, reference: &Reference, place: &ProblemLocation, explicit: bool) {
        let found = self.names.lists.iter_mut().enumerate().rev().find_map(|(at, list)| {
            let of = list.steps.iter().position(|step| step.id == id)?;
            Some((at, list, of))
        });
        if let Some((at, list, of)) = found {
            list.uses.push(SiblingReference { by: list.current, of, place: place.clone() });
            let step = list.steps[of].clone();
            let before = self.problems.len();
            self.check_step_keys(&step, !explicit, reference, place);
            if self.problems.len() == before && self.names.in_template && !reference.optional {
                self.check_presence([at, of], explicit, reference, place);
            }
            return;
        }
        if self.is_later(id) {
            return self.not_yet(id, reference, place);
        }
        if explicit {
            let known: Vec<_> = self.names.ids().map(str::to_owned).collect();
            let elsewhere = self.all_ids.contains(id);
            if let Some(undone) = self.names.undone.clone().filter(|_| elsewhere) {
                return self.problems.push(not_in_compensation(&undone, reference, place, &format!("the step `{id}`")));
            }
            let message = if elsewhere {
                format!(
                    "the step `{id}` is not visible here; a step sees only earlier steps of its own list and of \
                     enclosing lists"
                )
            } else {
                format!("unknown step `{id}`")
            };
            self.unknown(reference, place, &message, id, &known);
        }
    }

    fn state_reference(&mut self, name: &str, reference: &Reference, place: &ProblemLocation) {
        if let Some(undone) = self.names.undone.clone() {
            return self.problems.push(not_in_compensation(&undone, reference, place, "the state"));
        }
        if name != "$input" && !self.sets_state(name) && !self.sets_any_state {
            let known: Vec<&str> = self.state_keys.iter().map(String::as_str).collect();
            let problem =
                Problem::warning("unset_state", place.clone(), format!("no step sets the state key `{name}`"));
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    "set it with a `set` step; a persona step `X` sets `X_result` and `X_status`".into()
                }
                None => format!("the state keys are: {}", known.join(", ")),
            };
            self.problems.push(problem.with_help(help));
        }
    }

    fn sets_state(&self, name: &str) -> bool {
        self.state_keys.contains(name)
    }

    fn unknown(&mut self, reference: &Reference, place: &ProblemLocation, message: &str, name: &str, known: &[String]) {
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "none are defined here".to_owned(),
            None => format!("known names: {}", known.join(", ")),
        };
        let severity = if reference.optional { Problem::warning } else { Problem::error };
        self.problems.push(severity("unknown_reference", place.clone(), message.to_owned()).with_help(help));
    }
}

/// Returns the ids and state keys of `steps` and all steps inside them, and whether any of them may set unknown keys.
pub(super) fn survey(steps: &[&Step]) -> (BTreeSet<String>, BTreeSet<String>, bool) {
    let (mut ids, mut keys, mut any) = (BTreeSet::new(), BTreeSet::new(), false);
    let mut left: Vec<&Step> = steps.to_vec();
    while let Some(step) = left.pop() {
        ids.insert(step.id.clone());
        match step.kind.state_keys(&step.id) {
            StateKeys::Known(set) => keys.extend(set),
            StateKeys::Any => any = true,
        }
        left.extend(step.children());
    }
    (ids, keys, any)
}

/// Returns the problem caused by a reference to `what` in the compensation step of `undone`.
fn not_in_compensation(undone: &Step, reference: &Reference, place: &ProblemLocation, what: &str) -> Problem {
    let example = match &undone.kind {
        StepKind::Activity(call) => same_parameter(&call.params, reference),
        _ => None,
    };
    let example = example.map(|path| format!(", such as `input{path}`")).unwrap_or_default();
    let help =
        format!("a compensation sees no steps, only `input`, `output` and `certain` of the step it undoes{example}");
    let message = format!("{what} is not visible in a compensation");
    let severity = if reference.optional { Problem::warning } else { Problem::error };
    severity("unknown_reference", place.clone(), message).with_help(help)
}

/// Returns the path of the parameter in `params` whose template contains the same reference.
fn same_parameter(params: &serde_json::Value, reference: &Reference) -> Option<String> {
    let template = Template::parse(params).ok()?;
    let is_same = |other: &Reference| (&other.name, &other.keys) == (&reference.name, &reference.keys);
    let found = template.references().into_iter().find(|found| is_same(found.reference))?;
    let keys = found.pointer.split('/').skip(1).map(|key| match key.parse::<usize>() {
        Ok(number) => format!("[{number}]"),
        Err(_) => format!(".{}", key.replace("~1", "/").replace("~0", "~")),
    });
    Some(keys.collect())
}

fn null() -> Expr {
    Expr::parse("null").expect("`null` is an expression")
}

/// Joins a field and a JSON pointer inside the field into one path.
pub(super) fn join(field: &str, pointer: &str) -> String {
    if field.is_empty() { pointer.trim_start_matches('/').to_owned() } else { format!("{field}{pointer}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_fixed_meaning_are_listed_in_the_docs() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/shadowed_name.md");
        let page = std::fs::read_to_string(page).unwrap();
        let list = page.lines().find(|line| line.starts_with("The names with a fixed meaning are")).unwrap();
        let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, ROOTS);
    }
}
