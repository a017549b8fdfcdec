//! A definition that validates without warnings never fails because of a name.
//!
//! `DEFINITIONS` sets how many definitions to try, and `SEED` seeds the random generator.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{
    Engine, ProblemLocation, WorkflowInput,
    model::{
        Conditional, Definition, InputSpec, InputType, Loop, LoopSource, OnConflict, OnError, Parallel, ParallelOutput,
        Step, StepKind, Validate,
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::support::{Lab, echo, put};

/// Valid and invalid references; `STEP` stands for the id of a step.
const REFERENCES: [&str; 63] = [
    "n",
    "m",
    "o.any.thing ?? 1",
    "n.x",
    "input.n",
    "input.m",
    "task.s.length",
    "v",
    "variables.v",
    "variables.w",
    "w",
    "STEP",
    "STEP.f",
    "STEP.g",
    "STEP.output",
    "STEP.output.f",
    "STEP.result.g",
    "STEP.iterations",
    "STEP.results",
    "STEP.results[0]",
    "STEP.iteration",
    "STEP.x",
    "STEP.slept_until",
    "STEP.slept",
    "steps.STEP.output",
    "steps.STEP.output.f",
    "steps.STEP.results",
    "steps.STEP.status",
    "steps.STEP.stat",
    "steps.STEP.error",
    "steps.nobody.output",
    "nobody",
    "nobody.x ?? 2",
    "loop.item",
    "loop.idx",
    "loop.index",
    "loop.parent.item",
    "loop.parent.parent.index",
    "steps",
    "step",
    "context",
    "workflow",
    "run",
    "conditions",
    "env",
    "run.id",
    "run.ids",
    "workflow.name",
    "workflow.input.n",
    "is_big",
    "STEP ? STEP.f : 0",
    "STEP.f ? STEP.f : 0",
    "not STEP ? 0 : STEP.f",
    "STEP == null or STEP.f",
    "STEP?.f and STEP.f",
    "is_big ? STEP.f : 0",
    "steps.STEP.status == 'completed' ? STEP.f : 0",
    "steps.STEP.status != 'skipped' ? STEP.f : 0",
    "steps.STEP.output.f ?? 0",
    "STEP[0].f",
    "STEP[1]?.f",
    "STEP.results[0].f",
    "STEP.results[-1]?.x",
];

/// Conditions of steps; `STEP` stands for the id of an earlier step.
const CONDITIONS: [&str; 14] = [
    "n > 9",
    "n > 3",
    "is_big",
    "STEP",
    "STEP.f",
    "not STEP",
    "STEP == null",
    "STEP?.f != null",
    "STEP and is_big",
    "STEP or n > 3",
    "not (STEP and n > 3)",
    "steps.STEP.status == 'completed'",
    "steps.STEP.status != 'skipped'",
    "steps.STEP.status in ['failed', 'skipped']",
];

#[derive(Debug, Clone)]
enum Plan {
    /// A `set` step with these references and the index of its condition.
    Set(Vec<(usize, usize)>, usize),
    /// A step that fails; the run continues.
    Fails,
    Sleep,
    Sequence(Vec<Plan>),
    /// A loop and the reference in its `until`.
    Loop(Vec<Plan>, (usize, usize)),
    /// A parallel block, and whether its output is a list.
    Branches(Vec<Plan>, bool),
    /// A conditional, starting with the index of its condition.
    Choice(usize, Vec<Plan>, Vec<Plan>),
    /// A step with a handler, and whether the step fails.
    Handled(Box<Plan>, bool),
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let reference = || (0..REFERENCES.len(), 0..6usize);
    let leaf = prop_oneof![
        5 => (proptest::collection::vec(reference(), 1..3), 0..2 * CONDITIONS.len()).prop_map(|(fields, when)| Plan::Set(fields, when)),
        1 => Just(Plan::Fails),
        1 => Just(Plan::Sleep),
    ];
    let step = leaf.prop_recursive(3, 12, 3, move |inner| {
        let steps = || proptest::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            1 => steps().prop_map(Plan::Sequence),
            2 => (steps(), reference()).prop_map(|(steps, until)| Plan::Loop(steps, until)),
            1 => (steps(), any::<bool>()).prop_map(|(steps, is_list)| Plan::Branches(steps, is_list)),
            2 => (0..CONDITIONS.len(), steps(), proptest::collection::vec(inner.clone(), 0..2))
                .prop_map(|(condition, then, otherwise)| Plan::Choice(condition, then, otherwise)),
            1 => (inner, any::<bool>()).prop_map(|(handler, fails)| Plan::Handled(Box::new(handler), fails)),
        ]
    });
    proptest::collection::vec(step, 1..4)
}

/// Writes a definition with numbered ids, so references can point to earlier or later steps.
#[derive(Default)]
struct Writer {
    ids: usize,
}

impl Writer {
    fn reference(&self, (reference, distance): (usize, usize)) -> String {
        let step = (self.ids + 1).saturating_sub(distance);
        REFERENCES[reference].replace("STEP", &format!("s{step}"))
    }

    /// Returns a condition that is true, is false, or depends on an earlier step.
    fn condition(&self, condition: usize) -> String {
        CONDITIONS[condition].replace("STEP", &format!("s{}", self.ids.saturating_sub(1).max(1)))
    }

    fn steps(&mut self, plans: &[Plan]) -> Vec<Step> {
        plans.iter().map(|plan| self.step(plan)).collect()
    }

    fn step(&mut self, plan: &Plan) -> Step {
        self.ids += 1;
        let id = format!("s{}", self.ids);
        match plan {
            Plan::Set(references, condition) => {
                let condition = (*condition < CONDITIONS.len()).then(|| self.condition(*condition));
                let fields = references.iter().enumerate().map(|(number, reference)| {
                    (["f", "x"][number % 2].to_owned(), json!(format!("{{{{ {} }}}}", self.reference(*reference))))
                });
                Step { condition, ..Step::new(id, StepKind::Set(fields.collect::<Map<_, _>>())) }
            }
            Plan::Fails => Step { on_error: OnError::Continue, ..bad(id) },
            Plan::Sleep => Step::new(id, StepKind::Sleep(std::time::Duration::ZERO.into())),
            Plan::Sequence(steps) => {
                let steps = self.steps(steps);
                Step::sequence(id, steps)
            }
            Plan::Loop(steps, until) => {
                let steps = self.steps(steps);
                let until = (until.1 == 0).then(|| self.reference(*until));
                let over = LoopSource::Items(json!(["a", "b"]));
                Loop { until, ..Loop::new(over, steps) }.into_step(id)
            }
            Plan::Branches(steps, is_list) => {
                let steps = self.steps(steps);
                let output = if *is_list { ParallelOutput::Values } else { ParallelOutput::ByBranch };
                Parallel { output, on_conflict: OnConflict::Last, ..Parallel::new(steps) }.into_step(id)
            }
            Plan::Choice(condition, then, otherwise) => {
                let condition = self.condition(*condition);
                let (then, otherwise) = (self.steps(then), self.steps(otherwise));
                Conditional::new(condition, then, otherwise).into_step(id)
            }
            Plan::Handled(handler, fails) => {
                let handler = self.step(handler);
                let own = if *fails { bad(id) } else { Step::set(id, Map::from_iter([("g".to_owned(), json!(1))])) };
                Step { on_error: OnError::Steps(vec![handler.into()]), ..own }
            }
        }
    }
}

/// Creates a step that fails.
fn bad(id: impl Into<String>) -> Step {
    let check = Validate { data: json!(1), assertions: vec!["data > 1".to_owned()], ..Validate::default() };
    Step::new(id, StepKind::Validate(check))
}

/// The steps, the position of a failing step (if within the list), and the cleanup's references.
type Whole = (Vec<Plan>, usize, Vec<(usize, usize)>);

fn definition((plans, fails_at, cleanup): &Whole) -> Definition {
    let mut writer = Writer::default();
    let mut steps = writer.steps(plans);
    let cleanup = writer.step(&Plan::Set(cleanup.clone(), usize::MAX));
    if *fails_at < steps.len() {
        steps.insert(*fails_at, bad("bad"));
    }
    let mut definition = Definition::sequence("names", steps);
    definition.finally = vec![cleanup.into()];
    let input = |kind| InputSpec { kind: Some(kind), required: true, ..InputSpec::default() };
    definition.inputs.insert("n".to_owned(), input(InputType::Integer));
    definition.inputs.insert("s".to_owned(), input(InputType::String));
    definition.inputs.insert("o".to_owned(), input(InputType::Object));
    definition.variables.insert("v".to_owned(), json!("{{ n }}"));
    definition.conditions.insert("is_big".to_owned(), "n > 3".to_owned());
    definition
}

/// Removes the part of the definition that has the problem, so that the rest can run.
fn remove(definition: &mut Definition, place: &ProblemLocation) {
    let id = place.path.rsplit('/').next().unwrap_or_default().split('[').next().unwrap_or_default();
    let steps = definition.body.steps_mut().into_iter().chain(&mut definition.finally);
    let step = steps.map(Arc::make_mut).find_map(|step| in_step(step, id));
    let step = step.unwrap_or_else(|| panic!("no step is at {}", place.path));
    match (&mut step.kind, place.field.as_str()) {
        (StepKind::Set(fields), field) if field.starts_with("set/") => {
            let field = field.trim_start_matches("set/");
            fields.insert(field.to_owned(), json!(0)).unwrap_or_else(|| panic!("{id} has the field {field}"));
        }
        (StepKind::Loop(each), "until") => each.until = None,
        (StepKind::Conditional(choice), "condition") => choice.condition = "n > 3".to_owned(),
        (_, "condition") => step.condition = None,
        (kind, field) => panic!("{field} of {kind:?}"),
    }
}

fn in_step<'s>(step: &'s mut Step, id: &str) -> Option<&'s mut Step> {
    if step.id == id {
        return Some(step);
    }
    let handler = match &mut step.on_error {
        OnError::Steps(steps) => steps.as_mut_slice(),
        _ => &mut [],
    };
    step.kind.steps_mut().into_iter().chain(handler).find_map(|step| in_step(Arc::make_mut(step), id))
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect("the variable is a number"))
}

#[test]
fn valid_definitions_never_fail_because_of_a_name() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &number("SEED", 1).to_le_bytes().repeat(8));
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let engine: Engine = Lab::new().engine().build();
    let input: Value = json!({"n": 5, "s": "text", "o": {}});
    let mut refused = BTreeMap::<String, u32>::new();
    let definitions = number("DEFINITIONS", 100);
    let whole = (plans(), 0..6usize, proptest::collection::vec((0..REFERENCES.len(), 0..6usize), 1..3));
    for _ in 0..definitions {
        let mut definition = definition(&whole.new_tree(&mut runner).unwrap().current());
        while let Some(problem) = engine.validate(definition.clone()).first() {
            *refused.entry(problem.code.to_string()).or_default() += 1;
            remove(&mut definition, &problem.place);
        }
        let finished = runtime.block_on(engine.run(definition.clone(), WorkflowInput::new(input.clone()))).unwrap();
        let failed = finished.steps.iter().filter(|step| step.is_leaf && step.error.is_some());
        let names = failed.filter(|step| step.error.as_ref().is_some_and(|error| error.code != "validation_failed"));
        assert_eq!(names.count(), 0, "{:?} {}", finished.steps, definition.to_json());
        let is_bad = definition.body.list().unwrap().iter().any(|step| step.id == "bad");
        assert_eq!(finished.error.is_some(), is_bad, "{:?} {}", finished.error, definition.to_json());
        let unevaluable: Vec<_> = finished.warnings.iter().filter(|one| one.code == "condition_unevaluable").collect();
        assert!(unevaluable.is_empty(), "{unevaluable:?} {}", definition.to_json());
    }
    println!("{definitions} valid definitions ran; removed: {refused:?}");
    assert!(refused.values().sum::<u32>() > definitions && refused.len() >= 3, "{refused:?}");
}

#[test]
fn compensations_can_read_the_input_of_their_step_but_not_the_state() {
    let problems = |text: &str| {
        let undo = echo("undo", json!(text));
        let done = Step { compensate: Some(undo.into()), ..echo("do", json!(1)) };
        let mut definition = Definition::sequence("undo", [put("key", "k", json!(1)), done]);
        definition.inputs.insert("n".to_owned(), InputSpec::default());
        let problems = Lab::new().engine().build().validate(definition);
        problems.iter().map(|problem| problem.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(problems("{{ input.anything }} {{ output }} {{ certain }}"), [""; 0]);
    for unseen in ["{{ state.k }}", "{{ k }}", "{{ context.state.k }}", "{{ key }}"] {
        assert_eq!(problems(unseen), ["unknown_reference"], "{unseen}");
    }
}
