//! Templates that read the output of a step that may have none when the template is rendered.

use super::{Builder, ListKind};
use crate::{
    Problem, ProblemLocation,
    expr::{Expr, Key, Reference},
    model::{OnError, Pattern, Step, Steps, TriggerRule},
};

impl Builder<'_> {
    /// Warns about a reference in a template to step `of` of list `at` if it fails because the step has no output.
    ///
    /// A step without output is skipped, has failed with `on_error: continue`, or has not run. The reference is fine if
    /// the step that reads it, or an enclosing one, has a condition on that step.
    pub(super) fn check_presence(
        &mut self,
        [at, of]: [usize; 2],
        is_explicit: bool,
        reference: &Reference,
        place: &ProblemLocation,
    ) {
        let list = &self.names.lists[at];
        let step = &list.steps[of];
        // The output of a step that has not run cannot even be asked for; its status can.
        let is_ordered = list.kind == ListKind::Ordered;
        if self.names.asked.iter().any(|(id, is_status)| *id == step.id && (*is_status || is_ordered)) {
            return;
        }
        let keys = &reference.keys[usize::from(is_explicit).min(reference.keys.len())..];
        if is_explicit && matches!(keys.first(), None | Some(Key::Name(_))) && !reads_output(keys) {
            // The status and the error of a step always exist.
            return;
        }
        let fields = &keys[usize::from(reads_output(keys))..];
        let reason = match list.kind {
            ListKind::Ended => "the run may not have reached it",
            ListKind::Route { start } if is_reached_without(&list.steps, start, of, list.current) => {
                "it may not have run yet"
            }
            _ if self.runs_after_failures(at, of) => "it may have failed",
            _ if fields.is_empty() => return,
            _ if !self.runs_only_if_succeeded(at, of) && may_be_skipped(&list.steps, of) => {
                "a step that it depends on may be skipped"
            }
            _ => match reason(step, fields, self.runs_only_if_succeeded(at, of)) {
                Some(reason) => reason,
                None => return,
            },
        };
        let id = step.id.clone();
        let condition = step.condition.clone();
        let is_guard = |text: &str| Some(text) == condition.as_deref() || self.reads_step(text, &id);
        if self.names.enclosing.iter().any(|around| conditions(around).into_iter().any(is_guard)) {
            return;
        }
        let (name, rest) = (written(reference, 0), written(reference, usize::from(is_explicit)));
        let optional = if rest == name { format!("{name} ?? ''") } else { format!("{rest}?{}", &name[rest.len()..]) };
        let message = format!("the step `{id}` may have no output here, because {reason}; the template then fails");
        let help = format!("write `{optional}`, or give the step that reads it the condition `{id}`");
        self.problems.push(Problem::warning("may_be_absent", place.clone(), message).with_help(help));
    }

    /// Warns of a field of `error` in a template of `finally`, where it is null if the run has completed.
    pub(super) fn check_error_presence(&mut self, reference: &Reference, place: &ProblemLocation) {
        if !self.names.in_finally || reference.keys.is_empty() {
            return;
        }
        let is_guard = |text: &str| {
            Expr::parse(text).is_ok_and(|guard| guard.references().iter().any(|reference| reference.name == "error"))
        };
        if self.names.enclosing.iter().any(|around| conditions(around).into_iter().any(is_guard)) {
            return;
        }
        let path = written(reference, 0);
        let optional = path.replacen("error", "error?", 1);
        let message = "`error` is null here if the run has completed; the template then fails";
        let help = format!("write `{optional}`, or give the step the condition `error != null`");
        self.problems.push(Problem::warning("may_be_absent", place.clone(), message).with_help(help));
    }

    /// Returns whether the current step of list `at` runs even if step `of` of the list has failed.
    fn runs_after_failures(&self, at: usize, of: usize) -> bool {
        let list = &self.names.lists[at];
        let Some(reader) = list.steps.get(list.current) else { return false };
        let runs_always = matches!(reader.trigger_rule, TriggerRule::Always | TriggerRule::AllDone);
        let one_is_enough = reader.trigger_rule == TriggerRule::OneSuccess && reader.dependencies.len() > 1;
        of != list.current && (runs_always || one_is_enough)
    }

    /// Returns whether the current step of list `at` runs only if step `of` of the list has succeeded.
    fn runs_only_if_succeeded(&self, at: usize, of: usize) -> bool {
        let list = &self.names.lists[at];
        let Some(reader) = list.steps.get(list.current) else { return false };
        let depends = reader.dependencies.iter().any(|id| *id == list.steps[of].id);
        let needs_it = match reader.trigger_rule {
            TriggerRule::AllSuccess => true,
            TriggerRule::NoneFailedMinOneSuccess | TriggerRule::OneSuccess => reader.dependencies.len() == 1,
            TriggerRule::AllDone | TriggerRule::Always => false,
        };
        depends && needs_it
    }

    /// Returns whether the expression `text` reads the step `id`, itself or in a named condition.
    fn reads_step(&self, text: &str, id: &str) -> bool {
        let Ok(expression) = Expr::parse(text) else { return true };
        expression.references().iter().any(|reference| match (reference.name.as_str(), reference.keys.first()) {
            ("steps" | "step", Some(Key::Name(name))) => name == id,
            ("conditions", Some(Key::Name(name))) => self.condition_reads(name, id),
            (name, _) => name == id || self.condition_reads(name, id),
        })
    }

    fn condition_reads(&self, name: &str, id: &str) -> bool {
        let text = self.definition.conditions.get(name);
        let expression = text.and_then(|text| Expr::parse(text).ok());
        expression.is_some_and(|expression| expression.references().iter().any(|reference| reference.name == id))
    }
}

/// Returns the step about which a reference is a question, and whether the question is what its status is, or else
/// whether it has an output.
pub(super) fn asks_about(reference: &Reference) -> Option<(String, bool)> {
    let is_status = |key: &Key| matches!(key, Key::Name(name) if name == "status");
    match (reference.name.as_str(), reference.keys.as_slice()) {
        ("steps" | "step", [Key::Name(id), status]) if is_status(status) => Some((id.clone(), true)),
        (name, []) => Some((name.to_owned(), false)),
        _ => None,
    }
}

/// Returns whether the steps of a route can lead from the first one to step `reader` without step `of`.
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

/// Returns whether a step of a graph may be skipped because of a step that it depends on, directly or indirectly.
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

/// Returns why `fields` of the output of `step` may not exist after the run has passed it; `has_succeeded` says that it
/// has neither been skipped nor failed.
fn reason(step: &Step, fields: &[Key], has_succeeded: bool) -> Option<&'static str> {
    let (first, rest) = fields.split_first()?;
    if step.condition.is_some() && !has_succeeded {
        return Some("its condition may be false");
    }
    if step.on_error == OnError::Continue && !has_succeeded {
        return Some("it may fail without failing the run");
    }
    match step.kind.pattern() {
        // The output is that of the last step of the list that runs.
        Pattern::List | Pattern::Choice => step.kind.groups().iter().find_map(|group| match group.steps.last() {
            Some(last) if !last.dependencies.is_empty() => Some("its last step may be skipped"),
            Some(last) => reason(last, fields, false).map(|_| "its last step may be skipped or fail"),
            None => Some("it may have no steps to run"),
        }),
        // The output has a field for each branch, unless the fastest one alone counts.
        Pattern::Parallel => {
            let groups = step.kind.groups();
            let mut branches = groups.iter().flat_map(|group| &group.steps);
            let branch = branches.find(|branch| matches!(first, Key::Name(id) if *id == branch.id));
            branch.and_then(|branch| reason(branch, rest, false)).map(|_| "the branch may be skipped or fail")
        }
        Pattern::Leaf | Pattern::Route | Pattern::Loop => None,
    }
}

/// Returns whether the first key is a name of the whole output.
fn reads_output(keys: &[Key]) -> bool {
    matches!(keys.first(), Some(Key::Name(name)) if super::shapes::OUTPUT_ALIASES.contains(&&**name))
}

/// Returns the conditions under which `step`, and the steps inside it, run.
fn conditions(step: &Step) -> Vec<&str> {
    let groups = step.kind.groups();
    step.condition.as_deref().into_iter().chain(groups.into_iter().filter_map(|group| group.when)).collect()
}

/// Returns the reference up to the key with the number `until`, or all of it for 0, as it is written.
fn written(reference: &Reference, until: usize) -> String {
    let keys = if until == 0 { &reference.keys[..] } else { &reference.keys[..until.min(reference.keys.len())] };
    let mut text = reference.name.clone();
    for key in keys {
        match key {
            Key::Name(name) => text += &format!(".{name}"),
            Key::Index(index) => text += &format!("[{index}]"),
        }
    }
    text
}
