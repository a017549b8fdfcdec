//! The specification's example documents can be read unchanged.

use std::time::Duration;

use llmspell_workflows_basic::model::{Definition, Delay, Retry, Route, Step, StepKind, Transition};
use llmspell_workflows_definition::{StepTypes, read};
use serde_json::{Value, json};

fn definition(file: &str) -> Definition {
    let path = format!("{}/tests/fixtures/good/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the fixture exists");
    read(&text, file, &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).definition
}

fn persona(id: &str, name: &str, persona: &str) -> Step {
    Step { name: Some(name.into()), ..Step::activity(id, "persona-request", persona, Value::Null) }
}

#[test]
fn project_loop_from_the_specification_parses_into_the_expected_definition() {
    let mut planning = persona("planning", "Implementation Planning", "implementation-planner")
        .with_timeout(Duration::from_secs(1800))
        .with_retry(Retry::attempts(3));
    planning.kind = Step::activity("", "persona-request", "implementation-planner", json!({"stage": "initial"})).kind;
    let passed = "context.state.get('qa_status') === 'pass'";
    let mut expected = Definition::sequence(
        "project-loop",
        [
            planning,
            persona("plan-evaluation", "Plan Evaluation", "plan-evaluator")
                .after(["planning"])
                .when("context.state.get('planning_result')"),
            persona("implementation", "Lead Engineer Implementation", "lead-engineer")
                .after(["plan-evaluation"])
                .with_timeout(Duration::from_secs(3600)),
            persona("qa", "Quality Assurance", "qa-engineer").after(["implementation"]),
            persona("code-review", "Code Review", "code-reviewer").after(["qa"]).when(passed),
            persona("security-review", "Security Review", "security-review").after(["qa"]).when(passed),
        ],
    );
    expected.version = "1.0.0".into();
    expected.description = "Standard project workflow with planning, implementation, and QA".into();
    expected.variables.insert("max_retries".into(), 3.into());
    expected.variables.insert("timeout_minutes".into(), 30.into());
    let read = definition("project-loop.yml");
    assert_eq!(read, expected);
    assert_eq!(read.hash(), expected.hash());
}

#[test]
fn templating_example_from_the_specification_reads_as_expected() {
    let params = json!({"branch": "{{variables.branch_prefix}}{{task.slug}}"});
    let expected = Step {
        name: Some("Setup {{variables.project_name}}".into()),
        timeout: Some(Delay::Expression("variables.timeout_base".into())),
        ..Step::activity("setup", "git-operation", "branch", params)
    };
    assert_eq!(definition("templating.yml").body, Definition::sequence("", [expected]).body);
}

#[test]
fn the_json_example_is_read_as_a_route() {
    let transition = |condition: Option<&str>, target: &str| Transition {
        condition: condition.map(Into::into),
        target: Some(target.into()),
    };
    let draft = Step::activity("draft", "agent", "writer", json!({"text": "😀 a/b"})).then("review");
    let mut review = Step::activity("review", "agent", "critic", Value::Null);
    review.next = vec![transition(Some("output.score < 7"), "draft"), transition(None, "publish")];
    let publish = Step::tool("publish", "file_writer", json!({"path": "out.md"}));
    let expected = Definition::new("review-flow", StepKind::Route(Route::new("draft", [draft, review, publish])));
    assert_eq!(definition("route.json"), expected);
}
