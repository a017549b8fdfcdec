//! The names in scope while a definition is prepared.

use std::sync::Arc;

use super::{Builder, absence::Reached};
use crate::{
    Problem, ProblemLocation,
    expr::Reference,
    model::{Step, Steps},
};

/// The names in scope at the step being built.
#[derive(Default)]
pub(super) struct Names {
    pub(super) lists: Vec<ListNames>,
    /// The step being built and its enclosing steps, outermost first.
    pub(super) enclosing: Vec<Arc<Step>>,
    /// Whether a template is being checked, in which a missing field is an error.
    pub(super) in_template: bool,
    /// Whether the reference being checked is reached, as far as this is known.
    pub(super) reached: Reached,
    /// Whether `finally` is being built, where `error` may be null.
    pub(super) in_finally: bool,
    pub(super) loops: usize,
    pub(super) bindings: Vec<&'static str>,
    /// The steps of the loop whose `while` is being checked; they have not run when `while` is
    /// tested.
    pub(super) later: Option<Steps>,
    /// The step being undone, in a compensation step.
    pub(super) undone: Option<Arc<Step>>,
    /// Whether a variable is being built.
    pub(super) in_variable: bool,
    /// Whether the step being built reads its own start time.
    pub(super) reads_start: bool,
}

pub(super) struct ListNames {
    pub(super) steps: Steps,
    pub(super) kind: ListKind,
    /// The number of the step being built.
    pub(super) current: usize,
    pub(super) uses: Vec<SiblingReference>,
}

/// Determines which steps of a list have ended when another step in or after the list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// The earlier steps, in the order of the list or of their dependencies.
    Ordered,
    /// Any steps, since each step chooses the next; the step with the number `start` is the first.
    Route { start: usize },
    /// Any steps: the list has failed, was cancelled, or has completed.
    Ended,
}

/// A reference from a step, or from a step inside it, to the output of a sibling.
pub(crate) struct SiblingReference {
    pub(super) by: usize,
    pub(super) of: usize,
    pub(super) place: ProblemLocation,
}

/// The names visible to a compensation step.
const COMPENSATION: [&str; 3] = ["input", "output", "certain"];

impl Names {
    /// Returns the ids of the steps of the enclosing lists, outermost first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().flat_map(|list| list.steps.iter().map(|step| step.id.as_str()))
    }
}

impl Builder<'_> {
    /// Returns a problem if a variable is being built, and `reference` has no value yet when variables are computed.
    pub(super) fn later_than_variables(
        &self,
        reference: &Reference,
        key: Option<&str>,
        place: &ProblemLocation,
    ) -> Option<Problem> {
        let name = reference.name.as_str();
        let is_declared = || self.definition.variables.contains_key(name) || self.definition.inputs.contains_key(name);
        let is_later = matches!(name, "state" | "conditions" | "secrets" | "steps" | "step")
            || (name == "context" && key == Some("state"))
            || (self.definition.conditions.contains_key(name) && !is_declared());
        if !self.names.in_variable || !is_later {
            return None;
        }
        let message = format!("`{name}` is not available in `variables`, which are computed before the first step");
        let help = "variables can read `input`, `env`, `run`, `workflow`, `context` and other variables";
        Some(Problem::error("unknown_reference", place.clone(), message).with_help(help))
    }

    pub(crate) fn enter_list(&mut self, steps: &Steps, kind: ListKind) {
        self.names.lists.push(ListNames { steps: steps.clone(), kind, current: 0, uses: Vec::new() });
    }

    pub(crate) fn at_step(&mut self, number: usize) {
        if let Some(list) = self.names.lists.last_mut() {
            list.current = number;
        }
    }

    pub(crate) fn leave_list(&mut self) -> Vec<SiblingReference> {
        self.names.lists.pop().map(|list| list.uses).unwrap_or_default()
    }

    pub(crate) fn in_loop<T>(&mut self, build: impl FnOnce(&mut Self) -> T) -> T {
        self.names.loops += 1;
        let built = build(self);
        self.names.loops -= 1;
        built
    }

    pub(crate) fn with_binding<T>(&mut self, name: &'static str, build: impl FnOnce(&mut Self) -> T) -> T {
        self.names.bindings.push(name);
        let built = build(self);
        self.names.bindings.pop();
        built
    }

    /// Calls `build` for a compensation step of `undone`. The names of enclosing lists and loops
    /// are hidden from this step.
    pub(crate) fn undoing<T>(&mut self, undone: &Arc<Step>, build: impl FnOnce(&mut Self) -> T) -> T {
        let names = Names { bindings: COMPENSATION.to_vec(), undone: Some(undone.clone()), ..Names::default() };
        let outer = std::mem::replace(&mut self.names, names);
        let built = build(self);
        self.names = outer;
        built
    }
}
