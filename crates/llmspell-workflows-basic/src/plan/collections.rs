//! Checks that a loop iterates over a list.

use super::{Builder, shapes::OUTPUT_ALIASES, shapes::error_shape};
use crate::{
    Problem, ProblemLocation,
    expr::{Key, Reference, Template, ValueForm},
    model::{InputType, Step},
    shape::Shape,
};

impl Builder<'_> {
    /// Reports the items of a loop if they are definitely not a list.
    pub(crate) fn check_items(&mut self, items: &Template, path: &str) {
        let place = ProblemLocation::new(path, "over/items");
        let Some(expression) = items.whole_expression() else {
            // A list remains a list even if it contains templates.
            if let Some(text) = items.source().as_str() {
                let message = format!("expected an array or a reference to one, got the string `{text}`");
                let help = "write a list, or a single expression, such as `{{ input.files }}`";
                self.problems.push(Problem::error("not_a_collection", place, message).with_help(help));
            }
            return;
        };
        let (shape, reference) = match expression.form() {
            ValueForm::Reference(reference) => (self.reference_shape(reference), Some(reference)),
            ValueForm::Literal(value) => (Shape::of_value(value), None),
            ValueForm::Scalar => (Shape::Scalar, None),
            ValueForm::Object => (Shape::object::<String>([]), None),
            ValueForm::List | ValueForm::Unknown => return,
        };
        let source = expression.source().trim();
        let is_object = matches!(shape, Shape::Object(_)) || reference.is_some_and(|one| self.is_object_input(one));
        let (kind, help) = match shape {
            _ if is_object => (
                "an object",
                format!("loop over its values with `values({source})`, or its names with `keys({source})`"),
            ),
            Shape::Scalar => {
                let lists = reference.map(|reference| self.lists_beside(reference)).unwrap_or_default();
                let help = match lists.as_slice() {
                    [] => format!(
                        "to run the steps a number of times, use `range: {{start: 0, end: \"{{{{ {source} }}}}\"}}`"
                    ),
                    lists => format!("lists in the same object: {}", lists.join(", ")),
                };
                ("a string, a number or a boolean", help)
            }
            _ => return,
        };
        let message = format!("expected an array, but `{source}` is {kind}");
        self.problems.push(Problem::error("not_a_collection", place, message).with_help(help));
    }

    /// Returns the known shape of a reference's value.
    fn reference_shape(&self, reference: &Reference) -> Shape {
        let keys = reference.keys.as_slice();
        match (reference.name.as_str(), keys) {
            ("steps", [Key::Name(id), rest @ ..]) => match (self.listed_step(id), rest) {
                (_, [Key::Name(field), ..]) if field == "status" => Shape::Scalar,
                (_, [Key::Name(field), rest @ ..]) if field == "error" => error_shape().at(rest).clone(),
                (Some(step), [Key::Name(alias), rest @ ..]) if OUTPUT_ALIASES.contains(&&**alias) => {
                    self.output_shape(step).at(rest).clone()
                }
                (_, []) => Shape::object::<String>([]),
                _ => Shape::Any,
            },
            ("env" | "secrets" | "conditions" | "step", [_]) => Shape::Scalar,
            ("variables", [Key::Name(name), rest @ ..]) => self.variable_shape(name).at(rest).clone(),
            ("input" | "task", _) if self.names.bindings.contains(&"input") => Shape::Any,
            ("run" | "loop" | "workflow" | "input" | "task", _) => self.root_shape(&reference.name).at(keys).clone(),
            ("steps" | "step" | "state" | "context" | "env" | "secrets" | "conditions" | "variables", _) => Shape::Any,
            (name, _) if self.names.bindings.contains(&name) => self.root_shape(name).at(keys).clone(),
            (name, _) if self.definition.inputs.contains_key(name) => self.input_field_shape(name).at(keys).clone(),
            (name, _) if self.definition.variables.contains_key(name) => self.variable_shape(name).at(keys).clone(),
            (name, []) if self.definition.conditions.contains_key(name) => Shape::Scalar,
            (name, _) => self.listed_step(name).map(|step| self.bare_shape(step, keys)).unwrap_or_default(),
        }
    }

    /// Returns the shape of `ID…`, where `output` and its aliases may mean the whole output.
    fn bare_shape(&self, step: &Step, keys: &[Key]) -> Shape {
        let output = self.output_shape(step);
        match keys {
            [alias @ Key::Name(name), rest @ ..] if OUTPUT_ALIASES.contains(&&**name) => {
                let is_field = output.check(std::slice::from_ref(alias)).is_ok();
                output.at(if is_field { keys } else { rest }).clone()
            }
            _ => output.at(keys).clone(),
        }
    }

    /// Returns the visible step `id`.
    fn listed_step(&self, id: &str) -> Option<&Step> {
        self.names.lists.iter().rev().find_map(|list| list.steps.iter().find(|step| step.id == id)).map(|step| &**step)
    }

    /// Returns the shape of a variable, whose value may contain templates and may be
    /// overridden by an environment.
    fn variable_shape(&self, name: &str) -> Shape {
        let is_overridden = self.definition.environments.values().any(|one| one.contains_key(name));
        match self.definition.variables.get(name) {
            Some(value) if !is_overridden && Template::parse(value).is_ok_and(|template| template.is_static()) => {
                Shape::of_value(value)
            }
            _ => Shape::Any,
        }
    }

    fn is_object_input(&self, reference: &Reference) -> bool {
        let name = match (reference.name.as_str(), reference.keys.as_slice()) {
            ("input" | "task", [Key::Name(name)]) if !self.names.bindings.contains(&"input") => name,
            (_, []) if !self.names.bindings.contains(&&*reference.name) => &reference.name,
            _ => return false,
        };
        self.definition.inputs.get(name).is_some_and(|spec| spec.kind == Some(InputType::Object))
    }

    /// Returns references to the lists in the same object as a reference's value.
    fn lists_beside(&self, reference: &Reference) -> Vec<String> {
        let Some((_, around)) = reference.keys.split_last() else { return Vec::new() };
        let owner = Reference { keys: around.to_vec(), ..reference.clone() };
        let Shape::Object(fields) = self.reference_shape(&owner) else { return Vec::new() };
        let mut path = owner.name.clone();
        for key in &owner.keys {
            match key {
                Key::Name(name) => path += &format!(".{name}"),
                Key::Index(index) => path += &format!("[{index}]"),
            }
        }
        let lists = fields.into_iter().filter(|(_, shape)| matches!(shape, Shape::List(_)));
        lists.map(|(name, _)| format!("`{path}.{name}`")).collect()
    }
}
