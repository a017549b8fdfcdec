//! Random corrections of generated definitions.

use std::sync::Arc;

use llmspell_workflows_basic::model::{Aggregation, Definition, OnConflict, ParallelOutput, Step, StepKind, Steps};
use serde_json::{Value, json};

/// A small number generator. A seed always leads to the same edits.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `count`.
    pub(super) fn roll(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count.max(1) as u64).unwrap()
    }
}

/// Makes one change to `definition`. The result may be invalid, for example if a step refers to a
/// removed step.
pub(super) fn edited(definition: &Definition, dice: &mut Dice) -> Definition {
    let mut new = definition.clone();
    if dice.roll(8) == 0
        && let Some(variable) = new.variables.values_mut().next()
    {
        *variable = json!(format!("changed {}", dice.roll(9)));
        return new;
    }
    let count = count(&new.body);
    let mut target = dice.roll(count + 1);
    edit(&mut new.body, &mut target, dice);
    new
}

fn count(kind: &StepKind) -> usize {
    let groups = kind.groups();
    groups.iter().flat_map(|group| &group.steps).map(|step| 1 + count(&step.kind)).sum()
}

/// Edits the step with the number `target`, counted from 1; 0 is `kind` itself. Returns whether the
/// step was found.
fn edit(kind: &mut StepKind, target: &mut usize, dice: &mut Dice) -> bool {
    if *target == 0 {
        edit_kind(kind, dice);
        return true;
    }
    for step in kind.steps_mut() {
        *target -= 1;
        let step = Arc::make_mut(step);
        if *target == 0 && dice.roll(4) == 0 {
            step.condition = if step.condition.is_some() { None } else { Some("input.n == 2".into()) };
            return true;
        }
        if edit(&mut step.kind, target, dice) {
            return true;
        }
    }
    false
}

fn edit_kind(kind: &mut StepKind, dice: &mut Dice) {
    match kind {
        StepKind::Activity(call) => {
            let value = json!(format!("{}", dice.roll(1000)));
            match &mut call.params {
                Value::Object(fields) => drop(fields.insert("value".into(), value)),
                params => *params = value,
            }
        }
        StepKind::Set(values) => drop(values.insert("edited".into(), json!(dice.roll(9)))),
        StepKind::Validate(check) => check.data = json!(dice.roll(9)),
        StepKind::Sequence(steps) => edit_list(steps, dice),
        StepKind::Conditional(choice) => match dice.roll(3) {
            0 => choice.condition = format!("!({})", choice.condition),
            1 => edit_list(&mut choice.then, dice),
            _ => edit_list(&mut choice.otherwise, dice),
        },
        StepKind::Switch(choice) => edit_list(&mut choice.cases[0].steps, dice),
        StepKind::Loop(inner) => match dice.roll(3) {
            0 => inner.max_iterations = Some(1 + dice.roll(3) as u64),
            1 => inner.on_conflict = OnConflict::Merge,
            _ => edit_list(&mut inner.steps, dice),
        },
        StepKind::Parallel(both) => match dice.roll(4) {
            0 => both.output = ParallelOutput::ByBranch,
            1 => both.aggregation = Aggregation::AtLeast(1),
            2 if both.branches.len() > 1 => drop(both.branches.remove(dice.roll(both.branches.len()))),
            _ => {
                let branch = both.branches[0].clone();
                let step = Step { id: "new_branch".into(), ..added(dice) };
                both.branches.push(llmspell_workflows_basic::model::Branch { step: Arc::new(step), ..branch });
            }
        },
        StepKind::Route(_) | StepKind::Sleep(_) | StepKind::WaitForEvent(_) | StepKind::Workflow(_) => {}
    }
}

fn edit_list(steps: &mut Steps, dice: &mut Dice) {
    match dice.roll(3) {
        0 if steps.len() > 1 => drop(steps.remove(dice.roll(steps.len()))),
        1 if steps.len() > 1 => {
            let place = dice.roll(steps.len() - 1);
            steps.swap(place, place + 1);
        }
        _ => {
            let place = dice.roll(steps.len() + 1);
            steps.insert(place, Arc::new(added(dice)));
        }
    }
}

fn added(dice: &mut Dice) -> Step {
    let id = format!("new_{}", dice.roll(1_000_000));
    let set = [(format!("k{}", dice.roll(3)), json!(dice.roll(9)))].into_iter().collect();
    match dice.roll(2) {
        0 => Step::set(id, set),
        _ => Step::function(
            id,
            llmspell_workflows_testing::generate::FUNCTION,
            json!({"value": "xyz", "more": dice.roll(9)}),
        ),
    }
}
