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

/// A step that fails unless it is retried.
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

/// The same workflow with another step at its end.
pub(crate) fn longer(definition: Definition) -> Definition {
    let StepKind::Sequence(mut steps) = definition.body else { panic!("the workflow is a sequence") };
    steps.push(work("more", json!("{{ c }}")).into());
    Definition { body: StepKind::Sequence(steps), version: "2".to_owned(), ..definition }
}

async fn perform(name: &'static str, context: ActivityContext) -> Result<ActivityOutput, StepError> {
    let path = context.path().to_path();
    let last = path.segments().last().expect("a step has a path");
    if name == "break" && last.generation == 1 {
        return Err(StepError::configuration("broken", "the first generation fails"));
    }
    Ok(json!({"did": path.without_generations().to_string(), "with": context.input()}).into())
}

/// Returns a test of these workflows.
pub(crate) fn test(definitions: impl IntoIterator<Item = Definition>) -> VerbTest {
    let mut test = VerbTest::new().signal("go", json!("gone"));
    for name in ["work", "break"] {
        test = test.activity("function", name, move |context| perform(name, context));
    }
    for definition in definitions {
        test = test.workflow(definition.clone(), json!(null)).continues_with(longer(definition));
    }
    test
}

pub(crate) fn all() -> Vec<Definition> {
    vec![plain(), failing(), waiting(), paying(), waiting_child(), failing_child(), looping(), branching()]
}
