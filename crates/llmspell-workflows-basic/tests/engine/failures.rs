//! A failing activity, however deeply nested, has the documented effect and leaves nothing running.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    BasicWorkflow, Driven, ExecutionContext, Finished, Limits, Plan, RunOptions, RunStatus, StepError, WorkflowError,
    WorkflowInput, WorkflowOutput,
    engine::{Engine, StepRecord},
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Gate, Lab, OpenOnDrop, echo, fail};

/// The ids and paths of leaves, one at each kind of position in a definition.
const PLACES: [(&str, &str); 10] = [
    ("in_sequence", "/main/outer/in_sequence"),
    ("in_graph", "/main/outer/graph/in_graph"),
    ("in_then", "/main/outer/choice/then/in_then"),
    ("in_route", "/main/outer/route/in_route"),
    ("in_loop", "/main/outer/each[1]/in_loop"),
    ("in_parallel_loop", "/main/outer/at_once[1]/in_parallel_loop"),
    ("in_branch", "/main/outer/both/branch/in_branch"),
    ("in_handler", "/main/outer/mend/$on_error/in_handler"),
    ("in_finally", "/main/$finally/in_finally"),
    ("in_code", "/main/in_code"),
];

/// Returns a definition with a leaf at each position. The leaf with the id `place` is a copy of
/// `bad`, and the others succeed.
fn nested(place: &str, bad: &Step) -> Definition {
    let leaf = |id: &str| if id == place { Step { id: id.to_owned(), ..bad.clone() } } else { echo(id, json!(id)) };
    let second = |id: &str| leaf(id).when("loop.index == 1");
    let other = Step::sequence("other", [echo("fine", json!(1))]);
    let outer = [
        leaf("in_sequence"),
        Step::sequence(
            "graph",
            [echo("root", json!(1)), leaf("in_graph").after(["root"]), echo("end", json!(1)).after(["in_graph"])],
        ),
        Conditional::new("true", [leaf("in_then")], []).into_step("choice"),
        Route::new("in_route", [leaf("in_route").then("end"), echo("end", json!(1))]).into_step("route"),
        Loop::items(json!([10, 20, 30]), [second("in_loop")]).into_step("each"),
        Loop::items(json!([10, 20, 30]), [second("in_parallel_loop")]).parallel(3).into_step("at_once"),
        Parallel::new([Step::sequence("branch", [leaf("in_branch")]), other]).into_step("both"),
        fail("mend").with_on_error(OnError::Steps(vec![leaf("in_handler").into()])),
    ];
    let main = [echo("before", json!(1)), Step::sequence("outer", outer), echo("after", json!(1))];
    let mut definition = Definition::sequence("nested", main);
    definition.finally = vec![leaf("in_finally").into()];
    definition
}

/// Code that runs the given step and then the step `after`.
struct Code(Step, Lab);

#[async_trait]
impl BasicWorkflow for Code {
    fn name(&self) -> &str {
        "code"
    }

    async fn execute_basic(
        &self,
        _: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        let StepKind::Activity(call) = &self.0.kind else { panic!("code can only call activities") };
        let step = Step { id: "in_code".into(), ..self.0.clone() };
        let activity = self.1.activity(&call.activity.name);
        let output = context.step_as(step, call.params.clone(), activity).await?;
        context.step_as(echo("after", json!(1)), json!(1), self.1.activity("echo")).await?;
        Ok(WorkflowOutput::of(output))
    }
}

fn plan(engine: &Engine, lab: &Lab, place: &str, bad: &Step) -> Arc<Plan> {
    if place == "in_code" {
        return engine.prepare_code(Arc::new(Code(bad.clone(), lab.clone())));
    }
    engine.prepare(nested(place, bad)).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// Runs the nested definition with `bad` at `place`; if `cancels` is set, cancels the run after a second.
async fn run(lab: &Lab, place: &str, bad: &Step, cancels: bool) -> Finished {
    let engine = lab.engine().build();
    let run = engine.start(&plan(&engine, lab, place, bad), WorkflowInput::default(), &RunOptions::default()).unwrap();
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if cancels {
            run.cancel();
        }
    };
    let ended = async { tokio::join!(engine.drive(&run), cancelling).0 };
    let ended = tokio::time::timeout(Duration::from_secs(600), ended).await;
    let Ok(Driven::Done(finished)) = ended else { panic!("{place}: {ended:?}") };
    *finished
}

/// The bad leaf's expected status, error code, error class and number of attempts.
struct Expected(&'static str, &'static str, &'static str, u32);

/// Runs the nested definition with `bad` at `place`, checks the result, and returns it with the
/// leaf's record.
async fn check(place: &str, path: &str, bad: &Step, cancels: bool, expected: &Expected) -> (Finished, StepRecord) {
    let lab = Lab::new();
    let finished = run(&lab, place, bad, cancels).await;
    let (live, begun) = (lab.live(), lab.started());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((live, lab.started()), (0, begun.clone()), "{place}: an activity is still running");
    let after = place == "in_finally" || !begun.contains(&"/main/after#1".to_owned());
    assert!(after, "{place}: the next step ran: {begun:?}");
    assert_eq!(begun.contains(&"/main/$finally/in_finally#1".to_owned()), place != "in_code", "{place}: {begun:?}");

    let record = finished.step(path).unwrap_or_else(|| panic!("{place}: no record of {path}")).clone();
    let error = record.error.as_ref().unwrap();
    let found = (record.status.as_str(), error.code.as_ref(), error.class.as_str(), record.attempts);
    let Expected(status, code, class, attempts) = *expected;
    assert_eq!(found, (status, code, class, attempts), "{place}: {error}");
    assert_eq!(error.path.as_deref(), Some(path), "{place}");
    let mut tried: Vec<_> = (1..=attempts).map(|attempt| format!("{path}#{attempt}")).collect();
    tried.retain(|attempt| !begun.contains(attempt));
    assert_eq!(tried, [""; 0], "{place}: missing attempts");

    let (status, what) = if cancels { (RunStatus::Cancelled, "cancelled") } else { (RunStatus::Failed, code) };
    assert_eq!(finished.status, status, "{place}");
    let mut chain = std::iter::successors(finished.error.as_ref(), |error| error.cause.as_deref());
    let is_it = |error: &StepError| error.code == what && (cancels || error.path.as_deref() == Some(path));
    assert!(chain.any(is_it), "{place}: the run's error does not lead to {what} at {path}: {:?}", finished.error);
    (finished, record)
}

async fn everywhere(bad: Step, cancels: bool, expected: Expected) -> Vec<(String, Finished, StepRecord)> {
    let mut all = Vec::new();
    // A cancellation does not stop `finally`.
    for (place, path) in PLACES.into_iter().filter(|(place, _)| !cancels || *place != "in_finally") {
        let (finished, record) = check(place, path, &bad, cancels, &expected).await;
        all.push((path.to_owned(), finished, record));
    }
    all
}

fn step(activity: &str, params: Value) -> Step {
    Step::function("bad", activity, params)
}

fn tries(attempts: u32) -> Retry {
    Retry::attempts(attempts).with_backoff(Backoff::Immediate)
}

#[tokio::test(start_paused = true)]
async fn activities_that_panic_fail_without_a_retry() {
    everywhere(step("panic", json!(null)).with_retry(tries(3)), false, Expected("failed", "panic", "agent", 1)).await;
}

#[tokio::test(start_paused = true)]
async fn activities_that_return_errors_are_retried_and_then_fail() {
    everywhere(step("fail", json!({})).with_retry(tries(3)), false, Expected("failed", "boom", "transient", 3)).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_time_out_are_retried_and_then_fail() {
    let bad = step("hang", json!(null)).with_timeout(Duration::from_secs(2)).with_retry(tries(2));
    everywhere(bad, false, Expected("failed", "timeout", "timeout", 2)).await;
}

#[tokio::test(start_paused = true)]
async fn activities_that_exceed_the_total_timeout_fail_without_a_retry() {
    let bad = step("hang", json!(null)).with_total_timeout(Duration::from_secs(2)).with_retry(tries(9));
    everywhere(bad, false, Expected("failed", "timeout", "timeout", 1)).await;
}

#[tokio::test(start_paused = true)]
async fn running_activities_stop_when_the_run_is_cancelled() {
    everywhere(
        step("hang", json!(null)).with_retry(tries(9)),
        true,
        Expected("cancelled", "cancelled", "cancelled", 1),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn errors_name_dropped_activities_that_ignore_cancellation() {
    let ended = everywhere(step("ignore", json!(null)), true, Expected("cancelled", "cancelled", "cancelled", 1)).await;
    for (path, finished, record) in ended {
        let expected = format!("cancelled on request; dropped after the grace period: {path}");
        assert_eq!(record.error.unwrap().message, expected);
        assert_eq!(finished.error.unwrap().message, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_dropped_activities_that_ignore_a_timeout() {
    let bad = step("ignore", json!(null)).with_timeout(Duration::from_secs(2));
    for (path, _, record) in everywhere(bad, false, Expected("failed", "timeout", "timeout", 1)).await {
        let message = record.error.unwrap().message;
        assert_eq!(message, format!("the attempt took longer than 2s; dropped after the grace period: {path}"));
    }
}

/// Runs an activity that blocks its thread at `place`, and returns the run's error.
///
/// If `limited` is set, the activity times out. Otherwise, the run is cancelled.
async fn blocked(place: &str, gate: Gate, limited: bool) -> String {
    let mut lab = Lab::new();
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    lab.register("block", move |_| {
        let (gate, begins) = (gate.clone(), begins.clone());
        async move {
            let _ = begins.send(());
            gate.wait();
            Ok(json!(null).into())
        }
    });
    let limits = Limits { cancel_grace: Duration::from_millis(10), ..Limits::default() };
    let engine = lab.engine().limits(limits).build();
    let mut bad = step("block", json!(null));
    if limited {
        bad = bad.with_timeout(Duration::from_millis(20));
    }
    let run =
        engine.start(&plan(&engine, &lab, place, &bad), WorkflowInput::default(), &RunOptions::default()).unwrap();
    let cancelling = async {
        begun.recv().await.unwrap();
        if !limited {
            run.cancel();
        }
    };
    let (Driven::Done(finished), ()) = tokio::join!(engine.drive(&run), cancelling) else { panic!("the run parked") };
    let expected = if limited { RunStatus::Failed } else { RunStatus::Cancelled };
    assert_eq!(finished.status, expected, "{place}: {:?}", finished.error);
    let chain = std::iter::successors(finished.error.as_ref(), |error| error.cause.as_deref());
    chain.last().unwrap().message.clone()
}

#[test]
fn errors_name_abandoned_activities_that_block_their_thread() {
    // Each activity blocks a thread until the gate opens.
    let threads = 2 * PLACES.len() + 2;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let gate = Gate::default();
    let _open_on_drop = OpenOnDrop(gate.clone());
    let cases = PLACES.into_iter().flat_map(|place| [(place, false), (place, true)]);
    let cases: Vec<_> = cases.filter(|((place, _), limited)| *limited || *place != "in_finally").collect();
    // This thread drives the runs, because a blocked worker may hold the task it has just woken.
    let running = cases.iter().map(|((place, _), limited)| blocked(place, gate.clone(), *limited));
    let messages = runtime.block_on(futures_util::future::join_all(running));
    for (((place, path), limited), message) in cases.into_iter().zip(messages) {
        // If a handler fails, the cause of its error is the error it was handling.
        if !(limited && place == "in_handler") {
            let expected = format!("still running despite the request to stop: {path}");
            assert!(message.contains(&expected), "{place}, limited: {limited}: {message}");
        }
    }
}
