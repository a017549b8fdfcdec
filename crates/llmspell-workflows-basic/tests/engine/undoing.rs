//! Compensation: which steps are undone, and in which order.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    Driven, Finished, RunOptions, RunStatus, StepError, WorkflowInput, engine::Resume, model::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fail, hang, slow};

/// Adds a compensation that calls `undo`, which records the call.
fn undoable(step: Step) -> Step {
    let id = step.id.clone();
    step.with_compensation(Step::function(
        "undo",
        "undo",
        json!({
            "id": id, "input": "{{ input }}", "output": "{{ output }}", "certain": "{{ certain }}",
        }),
    ))
}

/// The recorded compensations, in order.
struct UndoLog(Arc<std::sync::Mutex<Vec<Value>>>);

impl UndoLog {
    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }
}

async fn run(definition: Definition) -> (Finished, UndoLog) {
    resumed(definition, None).await
}

/// Runs `definition`, and resumes it with `resume` if given.
async fn resumed(definition: Definition, resume: Option<Resume>) -> (Finished, UndoLog) {
    let mut lab = Lab::new();
    let undone = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = undone.clone();
    lab.register("undo", move |context| {
        let noted = notes.clone();
        async move {
            if context.input()["id"] == "cannot" {
                return Err(StepError::configuration("broken", "cannot be undone"));
            }
            noted.lock().unwrap().push(context.input().clone());
            Ok(json!(null).into())
        }
    });
    let engine = lab.engine().build();
    let plan = engine.prepare(definition).unwrap();
    let options = RunOptions { resume, ..RunOptions::default() };
    let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
    let finished = match engine.drive(&run).await {
        Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => *finished,
        Driven::Parked(wait) => panic!("the run waits: {wait:?}"),
    };
    (finished, UndoLog(undone))
}

/// A step cut off by a crash is undone like a cancelled step, unless it runs again first.
#[tokio::test(start_paused = true)]
async fn steps_cut_off_by_a_crash_are_undone_once() {
    let work = || undoable(echo("work", json!(1)));
    let block = |inner: Vec<Step>| undoable(Step::sequence("block", inner));
    let first_wins = || Parallel::new([echo("wins", json!(1)), work()]).with_aggregation(Aggregation::First);
    let tries = || {
        let tries = Step::sequence("tries", [fail("bad"), work()]);
        tries.with_retry(Retry::attempts(2).with_initial_delay(Duration::from_millis(1)))
    };
    for (steps, path, expected) in [
        // The step does not run again, because the run fails first.
        (vec![fail("bad"), work()], "/main/work", vec![("work", false)]),
        (vec![work(), fail("bad")], "/main/work", vec![("work", true)]),
        (vec![block(vec![work()]), fail("bad")], "/main/block/work", vec![("block", true)]),
        (vec![tries()], "/main/tries/work", vec![("work", false)]),
        // A block cut off by a crash is undone step by step.
        (vec![fail("bad"), block(vec![work()])], "/main/block", vec![]),
        (vec![undoable(echo("a", json!(1))), fail("bad"), work()], "/main/work", vec![("work", false), ("a", true)]),
    ] {
        let resume = Resume::new(uuid::Uuid::nil(), jiff::Timestamp::UNIX_EPOCH)
            .with_cut_off([(path.parse().unwrap(), Arc::new(json!("input")))]);
        let (_, undone) = resumed(Definition::sequence("cut", steps), Some(resume)).await;
        let undone = undone.0.lock().unwrap().clone();
        let found: Vec<_> =
            undone.iter().map(|one| (one["id"].as_str().unwrap(), one["certain"].as_bool().unwrap())).collect();
        assert_eq!(found, expected, "{path}");
    }
    let resume = Resume::new(uuid::Uuid::nil(), jiff::Timestamp::UNIX_EPOCH)
        .with_cut_off([("/main/race/work".parse().unwrap(), Arc::new(json!("input")))])
        .with_cancel(Some(true));
    let (finished, undone) = resumed(Definition::sequence("cut", [first_wins().into_step("race")]), Some(resume)).await;
    assert_eq!((finished.status, undone.ids()), (RunStatus::Compensated, vec!["work".to_owned()]));
    assert_eq!(undone.0.lock().unwrap()[0]["input"], "input");
}

async fn steps(steps: impl IntoIterator<Item = Step>) -> (Finished, UndoLog) {
    run(Definition::sequence("undoes", steps)).await
}

#[tokio::test(start_paused = true)]
async fn steps_of_a_failed_run_are_undone_in_reverse_order_of_completion() {
    let branches = [undoable(slow("later", 200)), undoable(slow("sooner", 100))];
    let all = [undoable(echo("first", json!({"n": 1}))), Parallel::new(branches).into_step("both"), fail("breaks")];
    let (finished, undone) = steps(all).await;
    assert_eq!(finished.status, RunStatus::Compensated);
    assert_eq!(&*finished.error.unwrap().code, "boom");
    assert_eq!(undone.ids(), ["later", "sooner", "first"]);
    let first = undone.0.lock().unwrap()[2].clone();
    assert_eq!(first, json!({"id": "first", "input": {"n": 1}, "output": {"n": 1}, "certain": true}));
    let paths: Vec<_> = finished.steps.iter().map(|step| step.path.to_string()).collect();
    assert!(paths.contains(&"/main/both/later/$undo".to_owned()), "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_undone_if_the_run_completes_or_the_error_is_handled() {
    let handled = fail("handled").with_on_error(OnError::Continue);
    let (finished, undone) = steps([undoable(echo("a", json!(1))), handled, echo("b", json!(2))]).await;
    assert_eq!((finished.status, undone.ids().len()), (RunStatus::Completed, 0));
    let (finished, undone) = steps([echo("a", json!(1)), undoable(fail("itself"))]).await;
    // The failed step itself had no effect.
    assert_eq!((finished.status, undone.ids().len()), (RunStatus::Failed, 0));
}

#[tokio::test(start_paused = true)]
async fn the_compensation_of_a_block_replaces_the_compensations_of_its_steps() {
    let block = |ends: bool| {
        let inner = [undoable(echo("one", json!(1))), if ends { echo("two", json!(2)) } else { fail("two") }];
        undoable(Step::sequence("block", inner))
    };
    let (_, undone) = steps([block(true), fail("breaks")]).await;
    assert_eq!(undone.ids(), ["block"]);
    // A block that did not complete is undone step by step.
    let (_, undone) = steps([block(false)]).await;
    assert_eq!(undone.ids(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn iterations_and_failed_attempts_of_a_block_are_undone_separately() {
    let each = Loop::items(json!([1, 2]), [undoable(echo("work", json!("{{ loop.item }}")))]).into_step("each");
    let (_, undone) = steps([each, fail("breaks")]).await;
    let outputs: Vec<_> = undone.0.lock().unwrap().iter().map(|one| one["output"].clone()).collect();
    assert_eq!(outputs, [json!(2), json!(1)]);
    let tries = Step::sequence("tries", [undoable(echo("work", json!("x"))), fail("breaks")]);
    let tries = tries.with_retry(Retry::attempts(3).with_initial_delay(Duration::from_millis(1)));
    let (finished, undone) = steps([undoable(echo("before", json!(1))), tries]).await;
    assert_eq!(undone.ids(), ["work", "work", "work", "before"]);
    let paths: Vec<_> = finished.steps.iter().map(|step| step.path.to_string()).collect();
    // The first attempt was undone before the second one started.
    let position =
        |path: &str| paths.iter().position(|other| other == path).unwrap_or_else(|| panic!("{path}: {paths:?}"));
    assert!(position("/main/tries/work/$undo") < position("/main/tries~2/work"));
}

#[tokio::test(start_paused = true)]
async fn steps_with_uncertain_effects_are_undone_with_certain_set_to_false() {
    let late = undoable(hang("late")).with_timeout(Duration::from_secs(1));
    let (finished, undone) = steps([undoable(echo("a", json!(1))), late]).await;
    assert_eq!((finished.status, undone.ids()), (RunStatus::Compensated, vec!["late".to_owned(), "a".to_owned()]));
    assert_eq!(undone.0.lock().unwrap()[0], json!({"id": "late", "input": null, "output": null, "certain": false}));
}

#[tokio::test(start_paused = true)]
async fn a_failed_compensation_makes_the_run_stuck() {
    let all =
        [undoable(echo("a", json!(1))), undoable(echo("cannot", json!(2))), undoable(echo("c", json!(3))), fail("x")];
    let (finished, undone) = steps(all).await;
    assert_eq!((finished.status, undone.ids()), (RunStatus::Stuck, vec!["c".to_owned()]));
    let error = finished.error.unwrap();
    assert_eq!((&*error.code, error.path.as_deref()), ("broken", Some("/main/cannot/$undo")));
    assert_eq!(&*error.cause.unwrap().code, "boom");
}

#[tokio::test(start_paused = true)]
async fn compensation_steps_can_be_retried() {
    let undo =
        Step::function("undo", "flaky", json!(null)).with_retry(Retry::attempts(3).with_backoff(Backoff::Immediate));
    let mut lab = Lab::new();
    lab.register("flaky", |context| async move {
        if context.attempt() < 3 { Err(StepError::transient("flaky", "not yet")) } else { Ok(json!(1).into()) }
    });
    let finished = lab.steps([echo("a", json!(1)).with_compensation(undo), fail("x")]).await;
    assert_eq!(finished.status, RunStatus::Compensated);
    assert_eq!(finished.step("/main/a/$undo").unwrap().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn finally_runs_after_compensation() {
    let mut definition = Definition::sequence("undoes", [undoable(echo("a", json!(1))), fail("x")]);
    definition.finally = vec![Arc::new(echo("clean", json!(1)))];
    let (finished, _) = run(definition).await;
    let paths: Vec<_> = finished.steps.iter().map(|step| step.path.to_string()).collect();
    let position = |path: &str| paths.iter().position(|other| other == path).unwrap();
    assert!(position("/main/a/$undo") < position("/main/$finally/clean"), "{paths:?}");
    assert_eq!(finished.status, RunStatus::Compensated);
}

#[tokio::test]
async fn invalid_compensations_are_rejected() {
    let engine = Lab::new().engine().build();
    let codes = |step: Step| {
        let problems = engine.validate(Definition::sequence("x", [step]));
        problems.into_iter().map(|problem| format!("{} at {}", problem.code, problem.place)).collect::<Vec<_>>()
    };
    let nested = echo("a", json!(1)).with_compensation(undoable(echo("b", json!(2))));
    assert!(codes(nested)[0].starts_with("invalid_compensation at /main/a/$undo"));
    let unknown = echo("a", json!(1)).with_compensation(echo("b", json!("{{ steps.c.output }}")));
    assert!(codes(unknown)[0].starts_with("unknown_reference at /main/a/$undo"));
    let once = echo("a", json!(1)).with_retry(Retry::attempts(2)).at_most_once();
    assert!(codes(once)[0].starts_with("at_most_once_with_retry at /main/a"));
    let block = Step::sequence("a", [echo("b", json!(1))]).at_most_once();
    assert!(codes(block)[0].starts_with("at_most_once_without_effect at /main/a"));
}
