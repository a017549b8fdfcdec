use std::sync::Arc;

use llmspell_workflows_basic::{
    StepError,
    activity::{ActivityContext, ActivityOutput},
    model::{Definition, Loop, Parallel, Step, StepKind, WaitForEvent},
};
use llmspell_workflows_testing::verbs::VerbTest;
use serde_json::{Value, json};

fn work(id: &str, input: Value) -> Step {
    Step::function(id, "work", input)
}

fn wait(id: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..WaitForEvent::default() }))
}

/// Returns a step that fails until it is retried.
fn breaks(id: &str) -> Step {
    Step::function(id, "break", json!(null))
}

pub(crate) fn plain() -> Definition {
    Definition::sequence(
        "plain",
        [work("a", json!(1)), work("b", json!("{{ a }}")), work("c", json!("{{ a }} {{ b }}"))],
    )
}

pub(crate) fn failing() -> Definition {
    Definition::sequence("failing", [work("a", json!(1)), breaks("bad"), work("c", json!("{{ a }} {{ bad }}"))])
}

pub(crate) fn waiting() -> Definition {
    Definition::sequence("waiting", [work("a", json!(1)), wait("wait"), work("c", json!("{{ a }} {{ wait.data }}"))])
}

pub(crate) fn paying() -> Definition {
    Definition::sequence(
        "paying",
        [work("a", json!(1)), work("pay", json!(5)).at_most_once(), work("c", json!("{{ pay }}"))],
    )
}

pub(crate) fn waiting_child() -> Definition {
    let child = Definition::sequence("child", [work("x", json!(1)), wait("wait"), work("y", json!("{{ x }}"))]);
    let steps = [work("a", json!(1)), Step::workflow("sub", "child", json!(null)), work("c", json!("{{ sub }}"))];
    Definition::sequence("waiting_child", steps).with_workflow(child)
}

pub(crate) fn failing_child() -> Definition {
    let child = Definition::sequence("child", [work("x", json!(1)), breaks("bad"), work("y", json!("{{ bad }}"))]);
    let steps = [work("a", json!(1)), Step::workflow("sub", "child", json!(null)), work("c", json!("{{ sub }}"))];
    Definition::sequence("failing_child", steps).with_workflow(child)
}

pub(crate) fn looping() -> Definition {
    let body = [work("each", json!("{{ loop.item }}")), breaks("bad").when("loop.index == 1")];
    let each = Loop::items(json!([1, 2, 3]), body).into_step("all");
    Definition::sequence("looping", [each, work("c", json!("{{ all }}"))])
}

pub(crate) fn branching() -> Definition {
    let left = Step::sequence("left", [work("a", json!(1)), work("b", json!("{{ a }}"))]);
    let right = Step::sequence("right", [work("a", json!(2)), breaks("bad")]);
    Definition::sequence("branching", [Parallel::new([left, right]).into_step("both"), work("c", json!(3))])
}

/// Returns the same workflow with an additional step at its end.
pub(crate) fn longer(definition: Definition) -> Definition {
    let StepKind::Sequence(mut steps) = definition.body else { panic!("the workflow is a sequence") };
    steps.push(work("more", json!("{{ c }}")).into());
    Definition { body: StepKind::Sequence(steps), version: "2".to_owned(), ..definition }
}

/// A corrected definition, the unchanged steps, and a changed step whose result may be kept.
struct Correction {
    definition: Definition,
    unchanged: Vec<&'static str>,
    kept: Option<&'static str>,
}

fn correction(
    definition: &Definition,
    unchanged: &[&'static str],
    change: impl FnOnce(&mut Vec<Arc<Step>>),
) -> Correction {
    let mut definition = definition.clone();
    let StepKind::Sequence(steps) = &mut definition.body else { panic!("the workflow is a sequence") };
    let mut all: Vec<Arc<Step>> = steps.to_vec();
    change(&mut all);
    *steps = all.into_iter().collect();
    Correction { definition, unchanged: unchanged.to_vec(), kept: None }
}

/// Returns corrections of a workflow: a changed last step, a new step before completed ones, a removed step, and
/// changes inside blocks and sub-workflows.
fn corrections(definition: &Definition) -> Vec<Correction> {
    let before_last: &[&str] = match definition.name.as_str() {
        "plain" => &["/main/a", "/main/b"],
        "paying" => &["/main/a", "/main/pay"],
        "looping" => &["/main/all[0]/each", "/main/all[1]/each", "/main/all[1]/bad", "/main/all[2]/each"],
        "branching" => &["/main/both/left/a", "/main/both/left/b", "/main/both/right/a", "/main/both/right/bad"],
        "failing" => &["/main/a", "/main/bad"],
        _ => &["/main/a", "/main/x", "/main/bad"],
    };
    let first: &[&str] = if before_last.contains(&"/main/a") { &["/main/a"] } else { before_last };
    let mut all = vec![
        correction(definition, before_last, |steps| {
            let last = Arc::make_mut(steps.last_mut().expect("the workflow has steps"));
            *last = work("c", json!("changed"));
        }),
        correction(definition, first, |steps| steps.insert(1, work("new", json!("new")).into())),
        correction(definition, before_last, |steps| drop(steps.pop())),
    ];
    match definition.name.as_str() {
        "plain" => {
            let change = |steps: &mut Vec<Arc<Step>>| steps[1] = work("b", json!("changed {{ a }}")).into();
            all.push(Correction { kept: Some("/main/b"), ..correction(definition, first, change) });
        }
        "failing" => {
            all.push(correction(definition, first, |steps| steps[1] = work("bad", json!("corrected")).into()));
            let change = |steps: &mut Vec<Arc<Step>>| steps[0] = work("a", json!("changed")).into();
            all.push(Correction { kept: Some("/main/a"), ..correction(definition, &[], change) });
        }
        "waiting_child" | "failing_child" => {
            let mut corrected = definition.clone();
            let child = corrected.workflows.get_mut("child").expect("the workflow has a sub-workflow");
            let inner = correction(child, &[], |steps| steps[2] = work("y", json!("changed")).into());
            *child = inner.definition.into();
            let unchanged = before_last.to_vec();
            all.push(Correction { definition: corrected, unchanged, kept: None });
        }
        "branching" => {
            let left = Step::sequence("left", [work("a", json!(1)), work("b", json!("changed {{ a }}"))]);
            let right = Step::sequence("right", [work("a", json!(2)), breaks("bad")]);
            let both = Parallel::new([left, right]).into_step("both");
            let unchanged = ["/main/both/left/a", "/main/both/right/a", "/main/both/right/bad"];
            all.push(correction(definition, &unchanged, |steps| steps[0] = both.into()));
        }
        _ => {}
    }
    all
}

async fn perform(name: &'static str, context: ActivityContext) -> Result<ActivityOutput, StepError> {
    let path = context.path().to_path();
    let last = path.segments().last().expect("a step has a path");
    if name == "break" && last.generation == 1 {
        return Err(StepError::configuration("broken", "the first generation fails"));
    }
    Ok(json!({"did": path.without_generations().to_string(), "with": context.input()}).into())
}

/// Returns a test of these workflows and their corrections.
pub(crate) fn test(definitions: impl IntoIterator<Item = Definition>) -> VerbTest {
    with(definitions, corrections)
}

/// Returns a test of these workflows, whose definitions are never corrected.
pub(crate) fn without_corrections(definitions: impl IntoIterator<Item = Definition>) -> VerbTest {
    with(definitions, |_| Vec::new())
}

fn with(
    definitions: impl IntoIterator<Item = Definition>,
    corrections: impl Fn(&Definition) -> Vec<Correction>,
) -> VerbTest {
    let mut test = VerbTest::new().signal("go", json!("gone"));
    for name in ["work", "break"] {
        test = test.activity("function", name, move |context| perform(name, context));
    }
    for definition in definitions {
        let corrections = corrections(&definition);
        test = test.workflow(definition.clone(), json!(null)).continues_with(longer(definition));
        for Correction { definition, unchanged, kept } in corrections {
            test = test.corrected_to(definition, unchanged, kept);
        }
    }
    test
}

pub(crate) fn all() -> Vec<Definition> {
    vec![plain(), failing(), waiting(), paying(), waiting_child(), failing_child(), looping(), branching()]
}
