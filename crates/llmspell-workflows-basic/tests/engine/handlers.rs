//! Error handlers and `finally`: the steps and errors they see, and what happens if they fail.

use llmspell_workflows_basic::{Driven, Engine, RunOptions, RunStatus, WorkflowInput, model::*};
use serde_json::json;

use crate::support::{Lab, echo, fail, hang, put};

fn finally(mut definition: Definition, steps: impl IntoIterator<Item = Step>) -> Definition {
    definition.finally = steps.into_iter().map(Into::into).collect();
    definition
}

#[tokio::test(start_paused = true)]
async fn finally_sees_the_state_and_all_steps_of_a_list() {
    let main = Definition::sequence("list", [put("a", "k", json!(1)), echo("b", json!("two"))]);
    let finished = Lab::new().run(finally(main, [put("f", "seen", json!("{{ state.k }} {{ steps.b.output }}"))])).await;
    assert_eq!((finished.status, &finished.error), (RunStatus::Completed, &None));
    assert_eq!(finished.step("f").unwrap().output.as_deref(), Some(&json!({"seen": "1 two"})));
    let changes: Vec<_> =
        finished.state_changes.iter().map(|change| (change.path.to_string(), &**change.value().unwrap())).collect();
    assert_eq!(changes, [("k".to_owned(), &json!(1)), ("seen".to_owned(), &json!("1 two"))]);
}

#[tokio::test(start_paused = true)]
async fn finally_sees_the_last_step_of_a_route() {
    let route = Route::new("a", [echo("a", json!(1)).then("b"), echo("b", json!(2))]);
    let main = Definition::new("route", StepKind::Route(route));
    let finished = Lab::new().run(finally(main, [echo("f", json!("{{ steps.b.output }}"))])).await;
    assert_eq!(finished.step("f").unwrap().output.as_deref(), Some(&json!(2)));
}

#[tokio::test(start_paused = true)]
async fn on_error_sees_the_steps_that_have_ended() {
    let mut definition = Definition::sequence("list", [echo("a", json!("one")), fail("b")]);
    definition.on_error = vec![echo("h", json!("{{ steps.a.output }} {{ steps.b.status }}")).into()];
    assert_eq!(*Lab::new().run(definition).await.output, json!("one failed"));
}

#[tokio::test(start_paused = true)]
async fn handler_errors_have_the_handled_error_as_their_cause() {
    let failing = |id: &str, code: &str| Step::function(id, "fail", json!({"code": code}));
    let inner = failing("a", "first").with_on_error(OnError::Steps(vec![failing("h", "second").into()]));
    let mut definition = Definition::sequence("list", [inner]);
    definition.on_error =
        vec![failing("i", "third").with_on_error(OnError::Steps(vec![failing("j", "fourth").into()])).into()];
    let finished = Lab::new().run(finally(definition, [failing("f", "fifth")])).await;
    let mut codes = Vec::new();
    let mut next = finished.error.as_ref();
    while let Some(error) = next {
        codes.push(error.code.to_string());
        next = error.cause.as_deref();
    }
    assert_eq!(codes, ["fourth", "third", "second", "first"]);
    let later: Vec<_> = finished.later_errors.iter().map(|error| &*error.code).collect();
    assert_eq!(later, ["fifth"]);
}

/// Starts a run, calls `act` after one second, and waits for the run to end.
async fn interrupted(lab: &Lab, definition: Definition, act: impl Fn(&llmspell_workflows_basic::Run)) -> RunStatus {
    let engine: Engine = lab.engine().build();
    let plan = engine.prepare(definition).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let driven = tokio::join!(engine.drive(&run), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        act(&run);
    });
    let Driven::Done(finished) = driven.0 else { panic!("the run parked") };
    finished.status
}

#[tokio::test(start_paused = true)]
async fn finally_runs_after_a_cancellation() {
    let lab = Lab::new();
    let definition = finally(Definition::sequence("list", [hang("a")]), [echo("f", json!(1))]);
    let status = interrupted(&lab, definition, |run| {
        run.cancel();
        run.cancel();
    });
    assert_eq!(status.await, RunStatus::Cancelled);
    assert_eq!(lab.started(), ["/main/a#1", "/main/$finally/f#1"]);
}

#[tokio::test(start_paused = true)]
async fn finally_does_not_run_on_shutdown() {
    let lab = Lab::new();
    let main = Definition::sequence("list", [Step::function("a", "late", json!(null))]);
    let status = interrupted(&lab, finally(main, [echo("f", json!(1))]), llmspell_workflows_basic::Run::shut_down);
    assert_eq!(status.await, RunStatus::Cancelled);
    assert_eq!(lab.started(), ["/main/a#1"]);
}

#[tokio::test(start_paused = true)]
async fn runs_can_start_at_a_step_only_if_the_workflow_is_a_step_list() {
    let parallel = Parallel::new([echo("a", json!(1))]);
    let engine = Lab::new().engine().build();
    let definition = Definition::new("parallel", StepKind::Parallel(parallel));
    let started = engine.run(definition, WorkflowInput::default().starting_at("a")).await;
    let code = match started {
        Ok(finished) => finished.error.map(|error| error.code.to_string()),
        Err(error) => error.step_error().map(|error| error.code.to_string()),
    };
    assert_eq!(code.as_deref(), Some("unknown_starting_step"));
}

#[tokio::test]
async fn naming_a_next_step_outside_a_route_is_rejected() {
    let engine = Lab::new().engine().build();
    let definition = Definition::sequence("list", [echo("a", json!(1)).then("b"), echo("b", json!(2))]);
    let problems = engine.validate(definition);
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["next_outside_of_route"]);
}
