//! Runs the unchanged `project-loop` document of the seed with simulated personas.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{
    Engine, Finished, WorkflowInput,
    activity::{Activities, Persona, function},
    engine::StepStatus,
};
use llmspell_workflows_definition::{StepTypes, check};
use serde_json::json;
use tokio::sync::Barrier;

/// The calls to personas and git, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// Creates the personas. The QA engineer reports the status `qa`. Each reviewer waits until the other reviewer is
/// running.
fn personas(log: &Log, qa: &str) -> Activities {
    let mut activities = Activities::new();
    let both = Arc::new(Barrier::new(2));
    for name in
        ["implementation-planner", "plan-evaluator", "lead-engineer", "qa-engineer", "code-reviewer", "security-review"]
    {
        let (log, both, qa) = (log.clone(), both.clone(), qa.to_owned());
        activities.register(
            "persona-request",
            name,
            Persona(function(move |call| {
                let (log, both, qa) = (log.clone(), both.clone(), qa.clone());
                async move {
                    log.lock().unwrap().push(name.to_owned());
                    if name.contains("review") {
                        let met = tokio::time::timeout(Duration::from_secs(10), both.wait()).await;
                        assert!(met.is_ok(), "the reviewers do not run concurrently");
                    }
                    let status = if name == "qa-engineer" { qa } else { "pass".to_owned() };
                    Ok(json!({"by": name, "status": status, "params": call.input()}))
                }
            })),
        );
    }
    let log = log.clone();
    activities.register(
        "git-operation",
        "",
        function(move |call| {
            log.lock().unwrap().push("git".to_owned());
            async move { Ok(call.input().clone()) }
        }),
    );
    activities
}

fn document() -> String {
    let path = "../crates/llmspell-workflows-definition/tests/fixtures/good/project-loop.yml";
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the document with a merge step that depends on both reviews.
fn with_merge() -> String {
    let merge = "
  - id: merge
    name: Merge
    type: git-operation
    dependencies: [code-review, security-review]
    params: {operation: merge, branch: main}
";
    format!("{}{merge}", document().trim_end())
}

async fn run(text: &str, qa: &str) -> (Finished, Vec<String>) {
    let log = Log::default();
    let engine = Engine::builder().activities(personas(&log, qa)).build();
    let checked = check(text, "project-loop.yml", &StepTypes::new(), |definition| engine.validate(definition.clone()));
    let definition = checked.unwrap_or_else(|diagnostics| panic!("{diagnostics}")).definition;
    let finished = engine.run(definition, WorkflowInput::new(json!({"task": {"type": "feature"}}))).await.unwrap();
    assert!(finished.error.is_none(), "{:?}", finished.error);
    let log = log.lock().unwrap().clone();
    (finished, log)
}

fn status(finished: &Finished, id: &str) -> (StepStatus, Option<String>) {
    let record = finished.step(id).unwrap();
    (record.status, record.skip_reason.as_ref().map(|reason| reason.code.to_string()))
}

const COMPLETED: (StepStatus, Option<String>) = (StepStatus::Completed, None);

#[tokio::test]
async fn steps_run_in_order_and_reviews_run_concurrently() {
    let (finished, log) = run(&document(), "pass").await;
    assert_eq!(log[..4], ["implementation-planner", "plan-evaluator", "lead-engineer", "qa-engineer"]);
    let mut reviews = log[4..].to_vec();
    reviews.sort();
    assert_eq!(reviews, ["code-reviewer", "security-review"]);
    for id in ["planning", "plan-evaluation", "implementation", "qa", "code-review", "security-review"] {
        assert_eq!(status(&finished, id), COMPLETED, "{id}");
    }
    let record = finished.step("planning").unwrap();
    assert_eq!(record.name.as_deref(), Some("Implementation Planning"));
    assert_eq!(record.output.as_ref().unwrap()["params"]["stage"], "initial");
    let keys: Vec<_> = finished.state_changes.iter().map(|change| change.path.to_string()).collect();
    assert!(keys.contains(&"qa_status".to_owned()) && keys.contains(&"qa_result".to_owned()), "{keys:?}");
}

#[tokio::test]
async fn reviews_and_merge_are_skipped_if_the_tests_fail() {
    let (finished, log) = run(&with_merge(), "fail").await;
    assert_eq!(log, ["implementation-planner", "plan-evaluator", "lead-engineer", "qa-engineer"]);
    let condition = Some("condition_false".to_owned());
    assert_eq!(status(&finished, "code-review"), (StepStatus::Skipped, condition.clone()));
    assert_eq!(status(&finished, "security-review"), (StepStatus::Skipped, condition));
    assert_eq!(status(&finished, "merge"), (StepStatus::Skipped, Some("dependencies_skipped".to_owned())));
    let reason = finished.step("merge").unwrap().skip_reason.clone().unwrap().message;
    assert_eq!(reason, "all dependencies were skipped: `code-review` skipped, `security-review` skipped");
    let reason = finished.step("code-review").unwrap().skip_reason.clone().unwrap().message;
    assert_eq!(reason, "the condition `context.state.get('qa_status') === 'pass'` is false");
}

#[tokio::test]
async fn the_merge_runs_after_both_reviews() {
    let (finished, log) = run(&with_merge(), "pass").await;
    assert_eq!(log.last().map(String::as_str), Some("git"));
    assert_eq!(finished.output["branch"], "main");
}

#[tokio::test]
async fn an_unknown_persona_passes_validation_and_fails_the_run() {
    let engine = Engine::builder().build();
    let checked =
        check(&document(), "project-loop.yml", &StepTypes::new(), |definition| engine.validate(definition.clone()));
    let definition = checked.unwrap().definition;
    let finished = engine.run(definition, WorkflowInput::new(json!({}))).await.unwrap();
    let error = finished.error.unwrap();
    assert_eq!((error.code.as_ref(), error.path.as_deref()), ("unknown_activity", Some("/main/planning")));
    assert!(error.message.contains("persona-request:implementation-planner"), "{error}");
}
