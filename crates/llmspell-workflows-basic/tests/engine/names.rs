//! A definition that is valid without warnings never fails because of a name.
//!
//! `DEFINITIONS` and `SEED` choose how many definitions to try and where to begin.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    model::{
        Definition, InputSpec, InputType, Loop, LoopSource, OnConflict, OnError, Parallel, ParallelOutput, Step,
        StepKind, Validate,
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::support::{Lab, echo, put};

/// References, right and wrong; `STEP` stands for the id of some step.
const REFERENCES: [&str; 50] = [
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
];

#[derive(Debug, Clone)]
enum Plan {
    /// A `set` step with these references, and the number of its condition.
    Set(Vec<(usize, usize)>, usize),
    /// A step that fails; the run continues.
    Fails,
    Sleep,
    Sequence(Vec<Plan>),
    /// A loop with the reference of its `until`.
    Loop(Vec<Plan>, (usize, usize)),
    Branches(Vec<Plan>),
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let reference = || (0..REFERENCES.len(), 0..6usize);
    let leaf = prop_oneof![
        5 => (proptest::collection::vec(reference(), 1..3), 0..8usize).prop_map(|(fields, when)| Plan::Set(fields, when)),
        1 => Just(Plan::Fails),
        1 => Just(Plan::Sleep),
    ];
    let step = leaf.prop_recursive(3, 12, 3, move |inner| {
        let steps = || proptest::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            1 => steps().prop_map(Plan::Sequence),
            2 => (steps(), reference()).prop_map(|(steps, until)| Plan::Loop(steps, until)),
            1 => steps().prop_map(Plan::Branches),
        ]
    });
    proptest::collection::vec(step, 1..4)
}

/// Writes a definition; ids are numbered in order, so that some references mean earlier and some mean later steps.
#[derive(Default)]
struct Writer {
    ids: usize,
}

impl Writer {
    fn reference(&self, (reference, distance): (usize, usize)) -> String {
        let step = (self.ids + 1).saturating_sub(distance);
        REFERENCES[reference].replace("STEP", &format!("s{step}"))
    }

    fn steps(&mut self, plans: &[Plan]) -> Vec<Step> {
        plans.iter().map(|plan| self.step(plan)).collect()
    }

    fn step(&mut self, plan: &Plan) -> Step {
        self.ids += 1;
        let id = format!("s{}", self.ids);
        match plan {
            Plan::Set(references, condition) => {
                // Some hold and some do not; one is about another step.
                let another = format!("s{}", self.ids.saturating_sub(1).max(1));
                let condition =
                    ["n > 9", "n > 3", "is_big", another.as_str()].get(*condition).map(|text| (*text).to_owned());
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
            Plan::Branches(steps) => {
                let steps = self.steps(steps);
                Parallel { output: ParallelOutput::ByBranch, on_conflict: OnConflict::Last, ..Parallel::new(steps) }
                    .into_step(id)
            }
        }
    }
}

/// A step that fails.
fn bad(id: impl Into<String>) -> Step {
    let check = Validate { data: json!(1), assertions: vec!["data > 1".to_owned()], ..Validate::default() };
    Step::new(id, StepKind::Validate(check))
}

/// The steps, the position at which the run fails, if it does, and the references of the cleanup.
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
    let (mut accepted, mut refused) = (0, BTreeMap::<String, u32>::new());
    while accepted < number("DEFINITIONS", 300) {
        let whole = (plans(), 0..6usize, proptest::collection::vec((0..REFERENCES.len(), 0..6usize), 1..3));
        let definition = Arc::new(definition(&whole.new_tree(&mut runner).unwrap().current()));
        let problems = engine.validate((*definition).clone());
        if let Some(problem) = problems.first() {
            *refused.entry(problem.code.to_string()).or_default() += 1;
            continue;
        }
        accepted += 1;
        let finished = runtime.block_on(engine.run((*definition).clone(), WorkflowInput::new(input.clone()))).unwrap();
        let failed = finished.steps.iter().filter(|step| step.is_leaf && step.error.is_some());
        let names = failed.filter(|step| step.error.as_ref().is_some_and(|error| error.code != "validation_failed"));
        assert_eq!(names.count(), 0, "{:?} {}", finished.steps, definition.to_json());
        let is_bad = definition.body.list().unwrap().iter().any(|step| step.id == "bad");
        assert_eq!(finished.error.is_some(), is_bad, "{:?} {}", finished.error, definition.to_json());
        let unevaluable: Vec<_> = finished.warnings.iter().filter(|one| one.code == "condition_unevaluable").collect();
        assert!(unevaluable.is_empty(), "{unevaluable:?} {}", definition.to_json());
    }
    println!("{accepted} valid definitions ran; refused: {refused:?}");
    assert!(refused.values().sum::<u32>() > accepted / 2 && refused.len() >= 2, "{accepted} accepted, {refused:?}");
}

#[test]
fn a_step_that_undoes_another_reads_the_input_of_that_step_but_no_state() {
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
