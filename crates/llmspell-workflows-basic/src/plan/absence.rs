//! Determines when a step has no output, and whether a reference is reached in such a case.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::Builder;
use crate::{
    expr::{Expr, Key, Possible, Reference},
    model::{LoopSource, Step, StepKind},
};

/// A case in which a value read by a template does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Absence {
    /// Why the value may not exist, phrased as part of a sentence about the step.
    pub(super) reason: &'static str,
    pub(super) absent: Absent,
    /// The condition that is false in this case.
    pub(super) unless: Option<String>,
}

/// The missing value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Absent {
    /// The output of a step with one of these statuses.
    Output { id: String, statuses: &'static [&'static str] },
    /// A part of the output of a completed step.
    Field { id: String, fields: Vec<Key> },
    /// The error of the run.
    Error,
}

/// Cached facts about the expression being checked and its enclosing steps.
#[derive(Default)]
pub(super) struct Reached {
    /// The expression, and the number of the reference being checked.
    pub(super) expression: Option<(Expr, usize)>,
    /// The references that the expression reads in each case.
    read: HashMap<(Absence, Option<&'static str>), std::collections::BTreeSet<usize>>,
    /// Whether a step can run in each case, by the step's address.
    steps: HashMap<(usize, Absence, Option<&'static str>), bool>,
}

impl Reached {
    /// Starts checking the next expression.
    pub(super) fn begin(&mut self, expression: Option<&Expr>) {
        self.expression = expression.map(|expression| (expression.clone(), 0));
        self.read.clear();
    }

    /// Moves on to the expression's reference with this number.
    pub(super) fn at(&mut self, number: usize) {
        if let Some((_, at)) = &mut self.expression {
            *at = number;
        }
    }
}

impl Builder<'_> {
    /// Returns whether the reference being checked is reached in this case.
    pub(super) fn is_reached(&mut self, absence: &Absence) -> bool {
        match absence.absent {
            Absent::Output { statuses, .. } => {
                statuses.iter().any(|status| self.is_reached_with(absence, Some(*status)))
            }
            Absent::Field { .. } | Absent::Error => self.is_reached_with(absence, None),
        }
    }

    /// Returns whether the reference being checked is reached in this case, if the step has this
    /// status.
    fn is_reached_with(&mut self, absence: &Absence, status: Option<&'static str>) -> bool {
        let innermost = self.names.enclosing.last().map_or(0, |step| Arc::as_ptr(step).addr());
        let key = (innermost, absence.clone(), status);
        let runs = match self.names.reached.steps.get(&key) {
            Some(runs) => *runs,
            None => {
                let runs = self.runs(absence, status);
                self.names.reached.steps.insert(key, runs);
                runs
            }
        };
        let Some((expression, number)) = self.names.reached.expression.clone().filter(|_| runs) else { return runs };
        let key = (absence.clone(), status);
        if !self.names.reached.read.contains_key(&key) {
            let read = expression.read_under(&self.assumptions(&absence.absent, status));
            self.names.reached.read.insert(key.clone(), read);
        }
        self.names.reached.read[&key].contains(&number)
    }

    /// Returns whether the step being built and its enclosing steps can run in this case.
    fn runs(&self, absence: &Absence, status: Option<&'static str>) -> bool {
        let assume = self.assumptions(&absence.absent, status);
        let possible = |text: &str| {
            if absence.unless.as_deref() == Some(text) {
                return Possible::from(serde_json::Value::Bool(false));
            }
            Expr::parse(text).map_or(Possible::ANY, |condition| condition.possible(&assume).or_false())
        };
        let enclosing = &self.names.enclosing;
        enclosing.iter().enumerate().all(|(number, step)| {
            let (met, refused) = conditions(step, enclosing.get(number + 1));
            met.into_iter().all(|text| possible(text).can_be_true)
                && refused.into_iter().all(|text| possible(text).can_be_false)
        })
    }

    /// Returns the known values of the names in a condition if `absent` does not exist.
    fn assumptions(&self, absent: &Absent, status: Option<&'static str>) -> impl Fn(&Reference) -> Option<Possible> {
        let conditions = &self.definition.conditions;
        let known = RefCell::new(HashMap::new());
        move |reference| assumed(reference, absent, status, conditions, &known)
    }
}

/// The known values of named conditions; `None` for a condition that is still being evaluated.
type KnownConditions = RefCell<HashMap<String, Option<Possible>>>;

fn assumed(
    reference: &Reference,
    absent: &Absent,
    status: Option<&'static str>,
    conditions: &IndexMap<String, String>,
    known: &KnownConditions,
) -> Option<Possible> {
    let condition = |name: &str| {
        let text = conditions.get(name)?;
        if let Some(known) = known.borrow().get(name) {
            return known.clone();
        }
        known.borrow_mut().insert(name.to_owned(), None);
        let assume = |reference: &Reference| assumed(reference, absent, status, conditions, known);
        let value = Expr::parse(text).ok().map(|condition| {
            let value = condition.possible(&assume).or_false();
            match (value.can_be_true, value.can_be_false) {
                (true, true) => Possible::ANY,
                (is_true, _) => Possible::from(serde_json::Value::Bool(is_true)),
            }
        });
        known.borrow_mut().insert(name.to_owned(), value.clone());
        value
    };
    let null = || Some(Possible::from(serde_json::Value::Null));
    let (name, keys) = (reference.name.as_str(), reference.keys.as_slice());
    let id = match absent {
        Absent::Error if name == "error" => return null(),
        Absent::Error => {
            return match (name, keys) {
                ("conditions", [Key::Name(name), ..]) => condition(name),
                (name, _) => condition(name),
            };
        }
        Absent::Output { id, .. } | Absent::Field { id, .. } => id,
    };
    let output = |keys: &[Key]| match absent {
        Absent::Field { fields, .. } => keys.starts_with(fields).then(null).flatten(),
        Absent::Output { .. } | Absent::Error => null(),
    };
    match (name, keys) {
        ("steps" | "step", [Key::Name(of), rest @ ..]) if id == of => match rest {
            [Key::Name(part), rest @ ..] if super::shapes::OUTPUT_ALIASES.contains(&part.as_str()) => output(rest),
            [Key::Name(part)] if part == "status" => {
                status.map(|status| Possible::from(serde_json::Value::from(status)))
            }
            [Key::Name(part), ..] if part == "error" && matches!(status, Some("pending" | "skipped")) => null(),
            _ => None,
        },
        ("conditions", [Key::Name(name), ..]) => condition(name),
        (name, keys) if id == name => match keys {
            [Key::Name(alias), rest @ ..] if super::shapes::OUTPUT_ALIASES.contains(&alias.as_str()) => {
                output(keys).or_else(|| output(rest))
            }
            keys => output(keys),
        },
        (name, _) => condition(name),
    }
}

/// Returns the conditions that are true, and those that are false, if `step` runs
/// its direct child `inner`.
fn conditions<'s>(step: &'s Step, inner: Option<&Arc<Step>>) -> (Vec<&'s str>, Vec<&'s str>) {
    let mut met: Vec<&str> = step.condition.as_deref().into_iter().collect();
    let mut refused = Vec::new();
    let Some(inner) = inner else { return (met, refused) };
    if let StepKind::Loop(each) = &step.kind
        && let LoopSource::While(condition) = &each.over
    {
        met.push(condition);
    }
    let groups = step.kind.groups();
    // A failure handler is not part of any group.
    if let Some(chosen) = groups.iter().position(|group| group.steps.iter().any(|step| Arc::ptr_eq(step, inner))) {
        met.extend(groups[chosen].when);
        refused.extend(groups[..chosen].iter().filter_map(|group| group.when));
    }
    (met, refused)
}
