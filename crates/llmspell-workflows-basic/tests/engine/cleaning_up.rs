//! A cancellation or timeout never stops compensation or `finally`.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{Driven, Finished, Limits, RunOptions, RunStatus, StepError, WorkflowInput, model::*};
use serde_json::json;

use crate::support::{Lab, echo, fail, hang, slow};

/// The event that occurs 50 seconds after the run starts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Cancel,
    CancelTwice,
    CancelAndCompensate,
    CancelThenCompensate,
    Shutdown,
    RunTimeout,
    /// The block that contains the phase exceeds its time limit.
    BlockTimeout,
    /// A branch parallel to the phase fails.
    FailFast,
}

use Event::*;

/// Returns a step that takes 100 seconds, so the event occurs while the step runs.
fn now() -> Step {
    slow("now", 100_000)
}

fn undone(undo: Step) -> Step {
    echo("a", json!(1)).with_compensation(undo)
}

fn clean() -> Vec<Arc<Step>> {
    vec![echo("clean", json!(1)).into()]
}

/// Returns the definition of a run that is in `phase` when the event happens.
fn in_phase(phase: &str) -> Definition {
    let steps = |steps: Vec<Step>| Definition::sequence("phases", steps);
    let undo = || echo("undo", json!(1));
    let mut definition = match phase {
        "steps" => steps(vec![undone(undo()), now()]),
        "on_error" => Definition { on_error: vec![now().into()], ..steps(vec![undone(undo()), fail("bad")]) },
        "undo" => steps(vec![undone(now()), fail("bad")]),
        "finally" => Definition { finally: vec![now().into()], ..steps(vec![undone(undo())]) },
        "undo of a block" => {
            let block = Step::sequence("block", [undone(now()), Step::function("once", "once", json!(null))]);
            steps(vec![block.with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate))])
        }
        other => panic!("unknown phase {other}"),
    };
    definition.finally.extend(clean());
    definition
}

/// Returns a definition with the steps of `phase` inside the block that the event affects.
fn around(phase: &str, event: Event) -> Definition {
    let inner = match phase.strip_suffix(" of a sub-workflow") {
        Some(phase) => {
            let child = Definition { name: "child".to_owned(), ..in_phase(phase) };
            let mut definition = Definition::sequence("parent", [Step::workflow("call", "child", json!(null))]);
            definition.workflows.insert("child".to_owned(), Arc::new(child));
            definition
        }
        None => in_phase(phase),
    };
    let Definition { body, .. } = &inner;
    let block = Step::new("around", body.clone());
    let block = match event {
        BlockTimeout => block.with_total_timeout(Duration::from_secs(50)),
        FailFast => {
            let fails = Step::function("other", "slow", json!({"ms": 50_000, "fails": true}));
            Parallel::new([block, fails]).with_error_mode(ErrorMode::FailFast).into_step("both")
        }
        _ => return inner,
    };
    Definition { body: StepKind::Sequence(vec![block.into()]), ..inner }
}

async fn run(phase: &str, event: Event) -> (Finished, Vec<String>) {
    let mut lab = Lab::new();
    lab.register("once", |context| async move {
        let path = context.path().to_path();
        let is_first = path.segments().iter().all(|segment| segment.generation == 1);
        if is_first { Err(StepError::transient("boom", "fails once")) } else { Ok(json!(1).into()) }
    });
    let engine = lab.engine().build();
    let plan = engine.prepare(around(phase, event)).unwrap_or_else(|invalid| panic!("{invalid}"));
    let timeout = (event == RunTimeout).then_some(Duration::from_secs(50));
    let options = RunOptions { timeout, ..RunOptions::default() };
    let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
    let act = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        match event {
            Cancel => run.cancel(),
            CancelTwice => {
                run.cancel();
                tokio::time::sleep(Duration::from_secs(1)).await;
                run.cancel();
            }
            CancelAndCompensate => run.cancel_and_compensate(),
            CancelThenCompensate => {
                run.cancel();
                run.cancel_and_compensate();
            }
            Shutdown => run.shut_down(),
            RunTimeout | BlockTimeout | FailFast => {}
        }
    };
    let (driven, ()) = tokio::join!(engine.drive(&run), act);
    let Driven::Done(finished) = driven else { panic!("{phase}, {event:?}: {driven:?}") };
    let is_short = |path: &String| !path.contains("/other#");
    let begun = lab.started().into_iter().filter(is_short).map(|path| path.replace("/main", "").replace("#1", ""));
    (*finished, begun.collect())
}

/// Joins the paths of the executed steps, omitting the enclosing blocks.
fn short(paths: &[String]) -> String {
    let names = paths.iter().map(|path| {
        let path = path.replace("/both", "").replace("/around", "").replace("/$finally", "").replace("/block", "");
        path.trim_start_matches('/').to_owned()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn cleanup_finishes_despite_cancellations_and_timeouts() {
    use RunStatus::{Cancelled, Compensated, Completed, Failed};
    let undoes = "a bad a/$undo clean";
    let table: &[(&str, &[Event], RunStatus, &str, &str)] = &[
        ("steps", &[Cancel, CancelTwice], Cancelled, "cancelled", "a now clean"),
        ("steps", &[CancelAndCompensate, CancelThenCompensate], Compensated, "cancelled", "a now a/$undo clean"),
        ("steps", &[RunTimeout], Compensated, "run_timed_out", "a now a/$undo clean"),
        ("steps", &[Shutdown], Cancelled, "cancelled", "a now"),
        ("on_error", &[Cancel, CancelTwice], Cancelled, "cancelled", "a bad $on_error/now clean"),
        ("on_error", &[CancelAndCompensate], Compensated, "cancelled", "a bad $on_error/now a/$undo clean"),
        // The run's time limit no longer applies once its steps have ended.
        ("on_error", &[RunTimeout], Completed, "", "a bad $on_error/now clean"),
        ("on_error", &[Shutdown], Cancelled, "cancelled", "a bad $on_error/now"),
        ("undo", &[Cancel, CancelTwice, CancelAndCompensate, CancelThenCompensate], Compensated, "boom", undoes),
        ("undo", &[RunTimeout], Compensated, "boom", undoes),
        ("undo", &[Shutdown], Cancelled, "cancelled", "a bad a/$undo"),
        ("finally", &[Cancel, CancelTwice, CancelAndCompensate, RunTimeout], Completed, "", "a now clean"),
        ("finally", &[Shutdown], Cancelled, "cancelled", "a now"),
        ("undo of a block", &[Cancel, CancelTwice], Cancelled, "cancelled", "a once a/$undo clean"),
        ("undo of a block", &[CancelAndCompensate], Compensated, "cancelled", "a once a/$undo clean"),
        ("undo of a block", &[RunTimeout], Compensated, "run_timed_out", "a once a/$undo clean"),
        ("undo of a block", &[BlockTimeout], Compensated, "timeout", "a once a/$undo clean"),
        ("undo of a block", &[FailFast], Compensated, "branches_failed", "a once a/$undo clean"),
        ("undo of a block", &[Shutdown], Cancelled, "cancelled", "a once a/$undo"),
        ("steps of a sub-workflow", &[Cancel], Cancelled, "cancelled", "a now clean"),
        ("steps of a sub-workflow", &[CancelAndCompensate], Cancelled, "cancelled", "a now a/$undo clean"),
        // The sub-workflow cleans up when it is stopped; its steps are undone because its parent fails.
        ("steps of a sub-workflow", &[BlockTimeout], Compensated, "timeout", "a now clean a/$undo"),
        // The sub-workflow had failed before the request.
        ("undo of a sub-workflow", &[Cancel, CancelTwice, CancelAndCompensate], Failed, "child_failed", undoes),
        ("undo of a sub-workflow", &[RunTimeout], Failed, "run_timed_out", undoes),
        ("undo of a sub-workflow", &[BlockTimeout], Failed, "timeout", undoes),
        ("undo of a sub-workflow", &[Shutdown], Cancelled, "cancelled", "a bad a/$undo"),
        // The sub-workflow had completed its steps before the request and is the last step.
        ("finally of a sub-workflow", &[Cancel, CancelTwice], Completed, "", "a now clean"),
        ("finally of a sub-workflow", &[RunTimeout], Compensated, "run_timed_out", "a now clean a/$undo"),
        ("finally of a sub-workflow", &[BlockTimeout], Compensated, "timeout", "a now clean a/$undo"),
        ("finally of a sub-workflow", &[FailFast], Compensated, "branches_failed", "a now clean a/$undo"),
        ("finally of a sub-workflow", &[Shutdown], Cancelled, "cancelled", "a now"),
    ];
    let mut wrong = Vec::new();
    for (phase, events, status, code, begun) in table {
        for event in *events {
            let (finished, paths) = run(phase, *event).await;
            let found = finished.error.as_ref().map_or("", |error| &*error.code);
            if (finished.status, found, short(&paths)) != (*status, *code, (*begun).to_owned()) {
                wrong.push(format!("{phase}, {event:?}: {} {found:?}, ran {}", finished.status, short(&paths)));
            }
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn compensation_requested_during_finally_of_a_cancelled_run_runs_after_finally() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    let mut definition = Definition::sequence("late", [undone(echo("undo", json!(1))), hang("hangs")]);
    definition.finally = vec![now().into()];
    let plan = engine.prepare(definition).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let (driven, ()) = tokio::join!(engine.drive(&run), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        run.cancel();
        tokio::time::sleep(Duration::from_secs(50)).await;
        run.cancel_and_compensate();
    });
    let Driven::Done(finished) = driven else { panic!("{driven:?}") };
    assert_eq!(finished.status, RunStatus::Compensated);
    assert_eq!(lab.started(), ["/main/a#1", "/main/hangs#1", "/main/$finally/now#1", "/main/a/$undo#1"]);
}

fn codes(errors: &[StepError]) -> Vec<String> {
    errors.iter().map(|error| format!("{} at {}", error.code, error.path.as_deref().unwrap_or_default())).collect()
}

fn failing(id: &str, code: &str) -> Step {
    Step::function(id, "fail", json!({"code": code}))
}

async fn cleaned_up(main: Step, finally: Vec<Step>) -> (Finished, Vec<String>) {
    let lab = Lab::new();
    let mut definition = Definition::sequence("cleans", [main]);
    definition.finally = finally.into_iter().map(Arc::new).collect();
    let finished = lab.run(definition).await;
    (finished, lab.started())
}

#[tokio::test(start_paused = true)]
async fn all_finally_steps_run_and_the_run_reports_the_first_error() {
    let unresolved = || echo("one", json!("{{ steps.main.output.missing }}"));
    let steps = || vec![unresolved(), echo("two", json!(2)), failing("three", "third"), echo("four", json!(4))];
    let ran = ["/main/main#1", "/main/$finally/two#1", "/main/$finally/three#1", "/main/$finally/four#1"];
    let (first, third) = ("expression_unresolved at /main/$finally/one", "third at /main/$finally/three");
    let (finished, begun) = cleaned_up(fail("main"), steps()).await;
    assert_eq!(codes(finished.error.as_slice()), ["boom at /main/main"]);
    assert_eq!(
        (codes(&finished.later_errors), begun),
        (vec![first.to_owned(), third.to_owned()], ran.map(str::to_owned).to_vec())
    );
    let (finished, _) = cleaned_up(echo("main", json!(1)), steps()).await;
    assert_eq!((finished.status, codes(finished.error.as_slice())), (RunStatus::Failed, vec![first.to_owned()]));
    assert_eq!(codes(&finished.later_errors), [third]);
    let main = echo("main", json!(1)).with_compensation(echo("undo", json!(1)));
    let (finished, _) = cleaned_up(Step::sequence("block", [main, fail("bad")]), vec![failing("one", "first")]).await;
    assert_eq!(
        (finished.status, codes(finished.error.as_slice())),
        (RunStatus::Compensated, vec!["boom at /main/block/bad".to_owned()])
    );
    assert_eq!(codes(&finished.later_errors), ["first at /main/$finally/one"]);
}

#[tokio::test(start_paused = true)]
async fn graphs_in_finally_respect_dependencies() {
    let steps = vec![
        failing("one", "first"),
        echo("after_one", json!(1)).after(["one"]),
        echo("always", json!(1)).after(["one"]).with_trigger_rule(TriggerRule::Always),
        failing("other", "second"),
    ];
    let (finished, mut begun) = cleaned_up(fail("main"), steps).await;
    begun.sort_unstable();
    assert_eq!(begun, ["/main/$finally/always#1", "/main/$finally/one#1", "/main/$finally/other#1", "/main/main#1"]);
    assert_eq!(codes(&finished.later_errors), ["first at /main/$finally/one", "second at /main/$finally/other"]);
    assert_eq!(finished.step("after_one").unwrap().skip_reason.as_ref().unwrap().code, "dependency_failed");
}

#[tokio::test(start_paused = true)]
async fn cleanup_steps_without_a_timeout_are_limited_and_the_error_names_the_limit() {
    let limits = Limits { cleanup_step_max: Duration::from_secs(600), ..Limits::default() };
    let sleep = Step::new("sleep", StepKind::Sleep(Delay::Fixed(Duration::from_secs(1_000))));
    let own = hang("own").with_total_timeout(Duration::from_secs(1_000));
    let paid = echo("paid", json!(1)).with_compensation(hang("undo"));
    let mut definition = Definition::sequence("limits", [paid, fail("bad")]);
    definition.finally = [hang("hangs"), sleep, own, echo("last", json!(1))].into_iter().map(Arc::new).collect();
    let engine = Lab::new().engine().limits(limits).build();
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    let error = |path: &str| finished.step(path).unwrap().error.as_ref().map(|error| error.message.clone());
    let limit = "the step, including all attempts, took longer than 10m, the limit `cleanup_step_max`";
    assert_eq!(error("/main/paid/$undo").as_deref(), Some(limit));
    assert_eq!(error("/main/$finally/hangs").as_deref(), Some(limit));
    assert_eq!(error("/main/$finally/sleep"), None);
    assert_eq!(error("/main/$finally/own").unwrap(), "the step, including all attempts, took longer than 16m 40s");
    assert_eq!((finished.status, error("/main/$finally/last")), (RunStatus::Stuck, None));
}

#[tokio::test(start_paused = true)]
async fn the_shorter_of_two_run_timeouts_applies() {
    for (own, given, expected) in [(None, Some(5), 5), (Some(9), Some(5), 5), (Some(5), Some(9), 5), (Some(5), None, 5)]
    {
        let lab = Lab::new();
        let engine = lab.engine().build();
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        let definition =
            Definition { total_timeout: seconds(own).map(Delay::Fixed), ..Definition::sequence("w", [hang("a")]) };
        let plan = engine.prepare(definition).unwrap();
        let options = RunOptions { timeout: seconds(given), ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
        let Driven::Done(finished) = engine.drive(&run).await else { panic!("the run parked") };
        let error = finished.error.unwrap();
        assert_eq!((&*error.code, error.path.as_deref()), ("run_timed_out", Some("/main")), "{own:?} {given:?}");
        assert_eq!(finished.ended_at.duration_since(finished.started_at).as_secs(), expected, "{own:?} {given:?}");
    }
}
