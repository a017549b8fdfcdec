use std::{collections::HashMap, sync::Arc};

use llmspell_workflows_basic::model::{Definition, OnError, Pattern, Step, StepKind, TriggerRule};

use super::{
    Block, Entry, Known, Order, Way,
    describe::{retry_data, what},
};

/// Returns the lists of `definition`: its body, then `on_error` and `finally` if they exist.
pub(crate) fn build(definition: &Definition, known: &Known<'_>) -> Vec<Block> {
    let outliner = Outliner { known };
    let mut blocks = match &definition.body {
        list if list.list().is_some() => outliner.blocks(list, "/main"),
        // A body with a single block is shown as a step.
        kind => {
            let main = Step::new("main", kind.clone());
            let entry = Entry { path: "/main".to_owned(), ..outliner.entry(&main, "", None, Vec::new()) };
            vec![block("steps", Order::Sequence, None, vec![entry])]
        }
    };
    for (name, steps) in [("$on_error", &definition.on_error), ("$finally", &definition.finally)] {
        if !steps.is_empty() {
            blocks.push(outliner.list(name, &steps.iter().collect::<Vec<_>>(), &format!("/main/{name}")));
        }
    }
    blocks
}

fn block(name: impl Into<String>, order: Order, when: Option<String>, steps: Vec<Entry>) -> Block {
    Block { name: name.into(), order, when, when_holds: None, steps }
}

/// Returns whether a choice takes its default list, if known; `others` contains the same for each
/// other list.
fn no_other(others: &[Option<bool>]) -> Option<bool> {
    if others.contains(&Some(true)) {
        return Some(false);
    }
    others.iter().all(|holds| *holds == Some(false)).then_some(true)
}

struct Outliner<'k> {
    known: &'k Known<'k>,
}

impl Outliner<'_> {
    fn decide(&self, condition: &str) -> Option<bool> {
        (self.known.decide)(condition)
    }

    fn blocks(&self, kind: &StepKind, path: &str) -> Vec<Block> {
        let mut holds = Vec::new();
        let blocks = kind.groups().into_iter().map(|group| {
            let inner = group.segment.as_deref().map_or_else(|| path.to_owned(), |segment| format!("{path}/{segment}"));
            let entries = || group.steps.iter().map(|step| self.entry(step, &inner, None, Vec::new())).collect();
            match kind.pattern() {
                Pattern::Route => block("steps", Order::Route, None, entries()),
                Pattern::Parallel => block("branches", Order::Parallel, None, entries()),
                Pattern::Leaf | Pattern::List | Pattern::Loop => self.list("steps", &group.steps, &inner),
                Pattern::Choice => {
                    let name = group.segment.as_deref().unwrap_or("steps");
                    let when_holds = match group.when {
                        Some(when) => self.decide(when),
                        None => no_other(&holds),
                    };
                    holds.push(when_holds);
                    let when = group.when.map(str::to_owned);
                    Block { when, when_holds, ..self.list(name, &group.steps, &inner) }
                }
            }
        });
        blocks.filter(|block| kind.pattern() != Pattern::Choice || !block.steps.is_empty()).collect()
    }

    /// Outlines steps in order, or as a graph with levels.
    fn list(&self, name: &str, steps: &[&Arc<Step>], path: &str) -> Block {
        let is_graph = steps.iter().any(|step| !step.dependencies.is_empty());
        let waits: Vec<Vec<String>> = match is_graph {
            true => steps.iter().map(|step| self.waits(step, path)).collect(),
            false => {
                let before = steps.iter().map(|step| vec![step.id.clone()]);
                [Vec::new()].into_iter().chain(before).take(steps.len()).collect()
            }
        };
        let levels = if is_graph { levels(steps, &waits) } else { vec![None; steps.len()] };
        let entries = steps.iter().zip(waits).zip(levels);
        let entries = entries.map(|((step, waits), level)| self.entry(step, path, level, waits)).collect();
        block(name, if is_graph { Order::Graph } else { Order::Sequence }, None, entries)
    }

    fn waits(&self, step: &Step, path: &str) -> Vec<String> {
        let known = self.known.waits.get(&format!("{path}/{}", step.id));
        known.unwrap_or(&step.dependencies).clone()
    }

    fn entry(&self, step: &Step, list: &str, level: Option<usize>, waits_for: Vec<String>) -> Entry {
        let path = format!("{list}/{}", step.id);
        let mut blocks = self.blocks(&step.kind, &path);
        let on_error = match &step.on_error {
            OnError::Fail => None,
            OnError::Continue => Some("continue"),
            OnError::Steps(steps) => {
                blocks.push(self.list("$on_error", &steps.iter().collect::<Vec<_>>(), &format!("{path}/$on_error")));
                Some("steps")
            }
        };
        if let Some(undo) = &step.compensate {
            // The compensation step has the path of the step that it undoes, and this id.
            let undo = Step { id: "$undo".into(), ..(**undo).clone() };
            blocks.push(block("$undo", Order::Sequence, None, vec![self.entry(&undo, &path, None, Vec::new())]));
        }
        let call = step.kind.activity().cloned();
        let ways = step.next.iter();
        Entry {
            id: step.id.clone(),
            name: step.name.clone().filter(|name| *name != step.id),
            kind: step.kind.as_str().to_owned(),
            activity: call.as_ref().map(|call| call.name.clone()).filter(|name| !name.is_empty()),
            call,
            what: what(step),
            condition_holds: step.condition.as_ref().and_then(|condition| self.decide(condition)),
            condition: step.condition.clone(),
            runs: level.and_then(|_| runs(step, &waits_for)),
            waits_for,
            level,
            trigger_rule: (step.trigger_rule != TriggerRule::default()).then(|| step.trigger_rule.as_str()),
            retry: step.retry.as_ref().map(retry_data),
            timeout: step.timeout.as_ref().map(ToString::to_string),
            total_timeout: step.total_timeout.as_ref().map(ToString::to_string),
            at_most_once: step.at_most_once,
            on_error,
            limits: step.limits.clone(),
            next: ways.map(|way| Way { condition: way.condition.clone(), target: way.target.clone() }).collect(),
            blocks,
            path,
        }
    }
}

/// Describes when a step of a graph runs, apart from its condition.
fn runs(step: &Step, waits_for: &[String]) -> Option<String> {
    let (needed, read): (Vec<&String>, Vec<&String>) = waits_for.iter().partition(|id| step.dependencies.contains(id));
    let names = |ids: &[&String], word: &str| {
        let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        match ids.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
            _ => ids.concat(),
        }
    };
    let one = needed.len() == 1;
    let rule = match step.trigger_rule {
        _ if needed.is_empty() && read.is_empty() => return None,
        _ if needed.is_empty() => String::new(),
        TriggerRule::NoneFailedMinOneSuccess | TriggerRule::AllSuccess | TriggerRule::OneSuccess if one => {
            format!("if `{}` succeeds", needed[0])
        }
        TriggerRule::NoneFailedMinOneSuccess => {
            let fails = match needed.as_slice() {
                [one, other] => format!("neither `{one}` nor `{other}` fails"),
                _ => format!("none of {} fail", names(&needed, "and")),
            };
            format!("if {fails} and at least one succeeds")
        }
        TriggerRule::AllSuccess => {
            format!("if {}{} succeed", if needed.len() == 2 { "both " } else { "all of " }, names(&needed, "and"))
        }
        TriggerRule::OneSuccess => format!("once {} have ended, if at least one succeeded", names(&needed, "and")),
        TriggerRule::AllDone | TriggerRule::Always => {
            let ends = if one { "has ended, even if it failed" } else { "have ended, even if any failed" };
            format!("once {} {ends}", names(&needed, "and"))
        }
    };
    let order = match read.is_empty() {
        true => String::new(),
        false => {
            format!(
                "also after {}, even if {}",
                names(&read, "and"),
                if read.len() == 1 { "it fails" } else { "they fail" }
            )
        }
    };
    Some([rule, order].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "))
}

/// Returns the level of each step: 1 if the step waits for no other step, otherwise one more than
/// the highest level among the steps it waits for. A step in a cycle, or waiting for a step in a
/// cycle, has no level.
fn levels(steps: &[&Arc<Step>], waits: &[Vec<String>]) -> Vec<Option<usize>> {
    let numbers: HashMap<&str, usize> = steps.iter().enumerate().map(|(n, step)| (step.id.as_str(), n)).collect();
    let mut levels = vec![None; steps.len()];
    // Each round settles at least one step, until only cycles remain.
    loop {
        let mut is_settled = true;
        for (number, others) in waits.iter().enumerate() {
            let known = others.iter().filter_map(|id| numbers.get(id.as_str()));
            let highest = known.map(|other| levels[*other]).try_fold(0, |highest, level| Some(highest.max(level?)));
            if let (None, Some(highest)) = (levels[number], highest) {
                levels[number] = Some(highest + 1);
                is_settled = false;
            }
        }
        if is_settled {
            return levels;
        }
    }
}
