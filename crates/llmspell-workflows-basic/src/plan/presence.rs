//! Checks templates that read a step's output, which may not exist when the template is rendered.

use std::sync::Arc;

use super::{
    Builder, ListKind,
    absence::{Absence, Absent},
    shapes::may_fail,
};
use crate::{
    Problem, ProblemLocation,
    expr::{Expr, Key, Reference},
    model::{
        Aggregation, IterationErrors, Loop, OnError, Parallel, ParallelOutput, Pattern, Step, StepKind, Steps,
        TriggerRule,
    },
    shape::{Shape, item_at},
};

impl Builder<'_> {
    /// Warns about a template's reference to the output of step `of` of list `at` if the reference
    /// could fail because the step has no output.
    ///
    /// A step has no output if it was skipped, failed with `on_error: continue`, or has not run.
    /// The reference is valid if it is never reached in these cases, either because of the
    /// conditions of its own step or the enclosing steps, or because of the expression that
    /// contains it.
    pub(super) fn check_presence(
        &mut self,
        [at, of]: [usize; 2],
        is_explicit: bool,
        reference: &Reference,
        place: &ProblemLocation,
    ) {
        let id = self.names.lists[at].steps[of].id.clone();
        let keys = &reference.keys[usize::from(is_explicit).min(reference.keys.len())..];
        if is_explicit && matches!(keys.first(), None | Some(Key::Name(_))) && !reads_output(keys) {
            // The status and the error of a step always exist.
            return;
        }
        // `results` is a field of a loop's output, and another name for the output of other steps.
        let is_loop = self.names.lists[at].steps[of].kind.pattern() == Pattern::Loop;
        let is_field = is_loop && matches!(keys.first(), Some(Key::Name(name)) if name == "results");
        let fields = &keys[usize::from(reads_output(keys) && !is_field)..];
        let absences = self.absences(at, of, fields);
        let Some(absence) = absences.into_iter().find(|absence| self.is_reached(absence)) else { return };
        let (name, rest) = (written(reference, 0), written(reference, usize::from(is_explicit)));
        let optional = if rest == name { format!("{name} ?? ''") } else { format!("{rest}?{}", &name[rest.len()..]) };
        let message =
            format!("the step `{id}` may have no output here, because {}; the template then fails", absence.reason);
        let condition = match &absence.absent {
            Absent::Field { fields, .. } => format!("{id}{}", fields.iter().map(key_text).collect::<String>()),
            Absent::Output { .. } | Absent::Error => id.clone(),
        };
        let help = format!("write `{optional}`, or give the step that reads it the condition `{condition}`");
        self.problems.push(Problem::warning("may_be_absent", place.clone(), message).with_help(help));
    }

    /// Warns about reading a field of `error` in a `finally` template, where `error` is null
    /// if the run has completed.
    pub(super) fn check_error_presence(&mut self, reference: &Reference, place: &ProblemLocation) {
        if !self.names.in_finally || reference.keys.is_empty() {
            return;
        }
        if !self.is_reached(&Absence { reason: "the run has completed", absent: Absent::Error, unless: None }) {
            return;
        }
        let path = written(reference, 0);
        let optional = path.replacen("error", "error?", 1);
        let message = "`error` is null here if the run has completed; the template then fails";
        let help = format!("write `{optional}`, or give the step the condition `error != null`");
        self.problems.push(Problem::warning("may_be_absent", place.clone(), message).with_help(help));
    }

    /// Returns the cases in which `fields` of the output of step `of` of list `at` do not exist
    /// when they are read.
    fn absences(&self, at: usize, of: usize, fields: &[Key]) -> Vec<Absence> {
        let list = &self.names.lists[at];
        let step = &list.steps[of];
        let without_output = |statuses: &'static [&'static str], reason| {
            let absent = Absent::Output { id: step.id.clone(), statuses };
            Absence { reason, absent, unless: None }
        };
        let mut absences = Vec::new();
        match list.kind {
            ListKind::Ended => {
                let statuses = &["pending", "skipped", "failed", "cancelled"];
                absences.push(without_output(statuses, "the run may not have reached it"));
            }
            ListKind::Route { start } if is_reached_without(&list.steps, start, of, list.current) => {
                absences.push(without_output(&["pending"], "it may not have run yet"));
            }
            ListKind::Route { .. } | ListKind::Ordered => {}
        }
        if self.runs_after_failures(at, of) {
            absences.push(without_output(&["pending", "skipped", "failed"], "it may have failed"));
        }
        if fields.is_empty() {
            // The whole output of a reached step is null if the step has no output.
            return absences;
        }
        if !self.has_succeeded(at, of) {
            if may_be_skipped(&list.steps, of) {
                absences.push(without_output(&["skipped"], "a step that it depends on may be skipped"));
            }
            if may_be_false(step) {
                let skipped = without_output(&["skipped"], "its condition may be false");
                absences.push(Absence { unless: step.condition.clone(), ..skipped });
            }
            if step.on_error == OnError::Continue {
                absences.push(without_output(&["failed"], "it may fail without failing the run"));
            }
        }
        if let Some((reason, length)) = self.reason_inside(step, fields) {
            let absent = Absent::Field { id: step.id.clone(), fields: fields[..length].to_vec() };
            absences.push(Absence { reason, absent, unless: None });
        }
        absences
    }

    /// Returns why `fields` of a completed step's output may not exist, and the number of fields up
    /// to the missing part.
    fn reason_inside(&self, step: &Step, fields: &[Key]) -> Option<(&'static str, usize)> {
        if fields.is_empty() {
            return None;
        }
        let lacks = |shape: Shape| shape.check(fields).err().map(|missing| missing.position + 1);
        let only = |reason| move |length| (reason, length);
        if let OnError::Steps(handler) = &step.on_error {
            let by_handler = || lacks(self.own_shape(step)).map(only("only its `on_error` steps return it"));
            let by_step = || lacks(self.list_shape(handler)).map(only("its `on_error` steps do not return it"));
            let in_handler =
                || self.reason_in_list(handler.last(), fields).map(|_| "its `on_error` steps may be skipped");
            let found = by_handler().or_else(by_step).or_else(|| in_handler().map(|reason| (reason, 1)));
            if found.is_some() {
                return found;
            }
        }
        match step.kind.pattern() {
            Pattern::List | Pattern::Choice => {
                let groups = step.kind.groups();
                let inside = groups.iter().find_map(|group| self.reason_in_list(group.steps.last().copied(), fields));
                let mut shapes = groups.iter().map(|group| self.list_shape(group.steps.iter().copied()));
                inside.or_else(|| shapes.find_map(lacks).map(only("not every case returns it")))
            }
            Pattern::Parallel => match &step.kind {
                StepKind::Parallel(parallel) => self.reason_in_branch(parallel, fields),
                _ => None,
            },
            Pattern::Loop => match &step.kind {
                StepKind::Loop(each) => self.reason_in_iteration(each, fields),
                _ => None,
            },
            Pattern::Leaf | Pattern::Route => None,
        }
    }

    /// Returns the reason for a part of an iteration's output, such as `results[0].total`.
    fn reason_in_iteration(&self, each: &Loop, fields: &[Key]) -> Option<(&'static str, usize)> {
        let [Key::Name(results), Key::Index(_), rest @ ..] = fields else { return None };
        if results != "results" || rest.is_empty() {
            return None;
        }
        if each.on_error == IterationErrors::Continue {
            return Some(("an iteration may fail", 3));
        }
        self.reason_in_list(each.steps.last(), rest).map(|(reason, length)| (reason, length + 2))
    }

    /// Returns the reason for a list that ends with the step `last`. A list's output is the output
    /// of the last step that ran.
    fn reason_in_list(&self, last: Option<&Arc<Step>>, fields: &[Key]) -> Option<(&'static str, usize)> {
        match last {
            Some(last) if !last.dependencies.is_empty() => Some(("its last step may be skipped", 1)),
            Some(last) if may_be_absent(last) => Some(("its last step may be skipped or fail", 1)),
            Some(last) => self.reason_inside(last, fields),
            None => Some(("it may have no steps to run", 1)),
        }
    }

    fn reason_in_branch(&self, parallel: &Parallel, fields: &[Key]) -> Option<(&'static str, usize)> {
        let (first, rest) = fields.split_first()?;
        let branches = &parallel.branches;
        let branch = match (parallel.output, &parallel.aggregation, first) {
            (ParallelOutput::Values, Aggregation::First, _) => {
                let mut shapes = branches.iter().map(|branch| self.output_shape(&branch.step));
                let lacking = shapes.find_map(|shape| shape.check(fields).err())?;
                return Some(("not every branch returns it", lacking.position + 1));
            }
            (ParallelOutput::Values, _, Key::Index(index)) => item_at(branches, *index),
            (ParallelOutput::ByBranch, _, Key::Name(id)) => branches.iter().find(|branch| branch.step.id == *id),
            _ => None,
        };
        let (may_fail, branch) = (may_fail(parallel, branch?), &branch?.step);
        // A branch without output is represented by null or by its error.
        let [first, ..] = rest else { return None };
        if may_be_absent(branch) {
            return Some(("the branch may be skipped or fail", 1));
        }
        if may_fail && parallel.output == ParallelOutput::ByBranch {
            let is_error = matches!(first, Key::Name(name) if name == "error");
            return Some((if is_error { "the branch may complete" } else { "the branch may fail" }, 2));
        }
        let inside = || self.reason_inside(branch, rest).map(|(reason, length)| (reason, length + 1));
        if may_fail { Some(("the branch may fail", 1)) } else { inside() }
    }

    /// Returns whether the current step of list `at` runs even if step `of` of the list has failed.
    fn runs_after_failures(&self, at: usize, of: usize) -> bool {
        let list = &self.names.lists[at];
        let Some(reader) = list.steps.get(list.current) else { return false };
        let runs_always = matches!(reader.trigger_rule, TriggerRule::Always | TriggerRule::AllDone);
        let one_is_enough = reader.trigger_rule == TriggerRule::OneSuccess && reader.dependencies.len() > 1;
        of != list.current && (runs_always || one_is_enough)
    }

    /// Returns whether step `of` of list `at` has succeeded whenever the current step of the list runs.
    fn has_succeeded(&self, at: usize, of: usize) -> bool {
        let list = &self.names.lists[at];
        let (mut left, mut seen) = (vec![list.current], vec![false; list.steps.len()]);
        while let Some(step) = left.pop().and_then(|number| list.steps.get(number)) {
            let needs_all = match step.trigger_rule {
                TriggerRule::AllSuccess => true,
                TriggerRule::NoneFailedMinOneSuccess | TriggerRule::OneSuccess => step.dependencies.len() == 1,
                TriggerRule::AllDone | TriggerRule::Always => false,
            };
            let needed = step.dependencies.iter().filter(|_| needs_all);
            for number in needed.filter_map(|id| list.steps.iter().position(|step| step.id == *id)) {
                if number == of {
                    return true;
                }
                if !std::mem::replace(&mut seen[number], true) {
                    left.push(number);
                }
            }
        }
        false
    }
}

/// Returns whether a route can lead from its first step to step `reader` without passing step `of`.
fn is_reached_without(steps: &Steps, start: usize, of: usize, reader: usize) -> bool {
    if of == reader {
        return true;
    }
    let (mut left, mut seen) = (vec![start], vec![false; steps.len()]);
    while let Some(number) = left.pop() {
        if number == of || std::mem::replace(&mut seen[number], true) {
            continue;
        }
        if number == reader {
            return true;
        }
        let next = steps[number].next.iter().filter_map(|transition| transition.target.as_ref());
        left.extend(next.filter_map(|id| steps.iter().position(|step| step.id == *id)));
    }
    false
}

/// Returns whether a step of a graph may be skipped because of a direct or indirect dependency.
fn may_be_skipped(steps: &Steps, of: usize) -> bool {
    let (mut left, mut seen) = (vec![of], vec![false; steps.len()]);
    while let Some(number) = left.pop() {
        let on = steps[number].dependencies.iter();
        for before in on.filter_map(|id| steps.iter().position(|step| step.id == *id)) {
            if steps[before].condition.is_some() || steps[before].on_error == OnError::Continue {
                return true;
            }
            if !std::mem::replace(&mut seen[before], true) {
                left.push(before);
            }
        }
    }
    false
}

/// Returns whether the condition of `step` can be false.
fn may_be_false(step: &Step) -> bool {
    let Some(condition) = &step.condition else { return false };
    Expr::parse(condition).is_ok_and(|condition| condition.possible(&|_| None).or_false().can_be_false)
}

/// Returns whether a step may have no output although its list completes.
fn may_be_absent(step: &Step) -> bool {
    may_be_false(step) || step.on_error == OnError::Continue
}

/// Returns whether the first key is a name for the whole output.
fn reads_output(keys: &[Key]) -> bool {
    matches!(keys.first(), Some(Key::Name(name)) if super::shapes::OUTPUT_ALIASES.contains(&&**name))
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Name(name) => format!(".{name}"),
        Key::Index(index) => format!("[{index}]"),
    }
}

/// Returns the reference as written, up to the key with the number `until`, or the whole reference
/// if `until` is 0.
fn written(reference: &Reference, until: usize) -> String {
    let keys = if until == 0 { &reference.keys[..] } else { &reference.keys[..until.min(reference.keys.len())] };
    reference.name.clone() + &keys.iter().map(key_text).collect::<String>()
}
