//! Interceptors can change decisions, but an answer of the wrong kind fails the run.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    BasicWorkflow, ExecutionContext, Finished, StepError, WorkflowError, WorkflowInput, WorkflowOutput,
    engine::{
        Attempt, Awaited, Decision, DecisionPoint, Interceptor, NextDecision, NextRecall, Position, Received, Signal,
        SkipReason,
    },
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fail, hang, put, slow};

/// An interceptor that changes the decisions of one kind.
struct ChangeDecision<F>(&'static str, F);

/// An interceptor that recalls one recorded decision.
struct RecordedDecision(Decision);

#[async_trait]
impl Interceptor for RecordedDecision {
    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        if self.0.key() == *point.key { Ok(Some(self.0.clone())) } else { next.run(point).await }
    }
}

#[async_trait]
impl<F: Fn(&Decision) -> Decision + Send + Sync> Interceptor for ChangeDecision<F> {
    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = next.run(point, decision).await?;
        Ok(if decision.kind() == self.0 { (self.1)(&decision) } else { decision })
    }
}

/// Code that reads the time, draws a random number and runs a step.
struct Code(Lab);

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
        let (now, random) = (context.now().await?, context.random().await?);
        let step = context.step_as(echo("a", json!(null)), json!(1), self.0.activity("echo")).await?;
        Ok(WorkflowOutput::of(json!([now.to_string(), random, step])))
    }
}

/// Runs a definition whose `kind` decisions are changed by `answer`.
async fn run(kind: &'static str, answer: impl Fn(&Decision) -> Decision + Send + Sync + 'static) -> Finished {
    run_of(kind, kind, answer).await
}

/// Runs the definition for `what`, changing its `kind` decisions with `answer`.
async fn run_of(
    what: &'static str,
    kind: &'static str,
    answer: impl Fn(&Decision) -> Decision + Send + Sync + 'static,
) -> Finished {
    run_with(what, ChangeDecision(kind, answer)).await
}

/// Runs the definition or code for `what` with `interceptor`.
async fn run_with(what: &'static str, interceptor: impl Interceptor + 'static) -> Finished {
    let lab = Lab::new();
    let engine = lab.engine().interceptor(Position::Hooks, interceptor).build();
    if ["now", "random", "input"].contains(&what) {
        return engine.run_code(Arc::new(Code(lab)), WorkflowInput::default()).await.unwrap();
    }
    let race = || Parallel::new([slow("x", 10), slow("y", 20)]).with_aggregation(Aggregation::First).into_step("race");
    let step = match what {
        "enter" => echo("a", json!("ran")).when("false"),
        "branch" => Conditional::new("true", [echo("t", json!("then"))], [echo("e", json!("else"))]).into_step("a"),
        "items" => Loop::items(json!([1, 2]), [echo("i", json!("{{ loop.item }}"))]).into_step("a"),
        "while" => {
            let twice = Loop::new(LoopSource::While("loop.index < 2".into()), [echo("i", json!("{{ loop.index }}"))]);
            twice.into_step("a")
        }
        "transition" | "route_generation" => Route::new(
            "s",
            [
                put("s", "n", json!("{{ (state.n || 0) + 1 }}")).then_if("state.n < 2", "s").then("t"),
                echo("t", json!("t")),
                echo("u", json!("u")),
            ],
        )
        .into_step("a"),
        "ended_nth" => race(),
        "attempt" => fail("a").with_retry(Retry::attempts(2)),
        "last attempt" => {
            let retry = Retry { duration_max: Some(Duration::from_secs(60)), ..Retry::attempts(3) };
            fail("a").with_retry(retry)
        }
        "attempt_deadline" => hang("a").with_timeout(Duration::from_secs(10)),
        "awaits" => Step::new("a", StepKind::Sleep(Delay::Fixed(Duration::from_secs(10)))),
        "received" => {
            let wait = WaitForEvent { event: "never".to_owned(), ..WaitForEvent::default() };
            Step::new("a", StepKind::WaitForEvent(wait)).with_timeout(Duration::from_secs(10))
        }
        "resolved" => {
            let block = Parallel::new([put("x", "k", json!(1)), put("y", "k", json!(2))]);
            block.with_on_conflict(OnConflict::Last).into_step("a")
        }
        other => panic!("no definition makes decisions of the kind {other}"),
    };
    engine.run(Definition::sequence("decides", [step]), WorkflowInput::default()).await.unwrap()
}

fn transition(asked: &Decision, to: Option<&str>) -> Decision {
    let Decision::Transition(n, _) = asked else { panic!("{asked:?} is not a transition") };
    Decision::Transition(*n, to.map(str::to_owned))
}

fn output(finished: &Finished) -> Value {
    assert_eq!(finished.error, None);
    (*finished.output).clone()
}

fn code(finished: &Finished) -> &str {
    &finished.error.as_ref().expect("the run fails").code
}

fn seconds(finished: &Finished) -> i64 {
    finished.ended_at.duration_since(finished.started_at).as_secs()
}

const ALL: [&str; 15] = [
    "enter",
    "branch",
    "items",
    "while",
    "transition",
    "route_generation",
    "ended_nth",
    "attempt",
    "attempt_deadline",
    "awaits",
    "received",
    "now",
    "random",
    "input",
    "resolved",
];

#[tokio::test(start_paused = true)]
async fn every_kind_of_decision_rejects_an_answer_of_a_different_kind() {
    for kind in ALL {
        let finished = run(kind, move |_| match kind {
            "branch" => Decision::Items(Arc::default()),
            _ => Decision::Branch(None),
        });
        assert_eq!(code(&finished.await), "wrong_decision", "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn changing_an_enter_decision_runs_or_skips_the_step() {
    assert_eq!(output(&run("enter", |_| Decision::Enter(None)).await), "ran");
    let reason = SkipReason::new("not_today", "no");
    let answer = reason.clone();
    let finished = run("enter", move |_| Decision::Enter(Some(answer.clone()))).await;
    assert_eq!(finished.step("a").unwrap().skip_reason, Some(reason));
}

#[tokio::test(start_paused = true)]
async fn answers_for_a_different_iteration_are_rejected() {
    let finished = run("while", |asked| match asked {
        Decision::While(n, holds) => Decision::While(n + 1, *holds),
        other => other.clone(),
    });
    let error = finished.await.error.unwrap();
    assert_eq!(error.code, "wrong_decision");
    assert!(error.message.contains("`while 0`, got `while 1`"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn changing_a_branch_decision_runs_a_different_branch() {
    for (branch, given) in [(Some(0), json!("then")), (Some(1), json!("else")), (None, json!(null))] {
        assert_eq!(output(&run("branch", move |_| Decision::Branch(branch)).await), given);
    }
    assert_eq!(code(&run("branch", |_| Decision::Branch(Some(2))).await), "wrong_decision");
}

#[tokio::test(start_paused = true)]
async fn changing_loop_decisions_changes_the_items_and_the_end_of_the_loop() {
    let finished = run("items", |_| Decision::Items(Arc::new(vec![json!(7)]))).await;
    assert_eq!((&output(&finished)["results"], &output(&finished)["total_count"]), (&json!([7]), &json!(1)));
    let finished = run("while", |asked| match asked {
        Decision::While(n, _) => Decision::While(*n, *n < 1),
        other => other.clone(),
    });
    let finished = finished.await;
    assert_eq!(output(&finished)["results"], json!([0]));
}

#[tokio::test(start_paused = true)]
async fn changing_a_transition_decision_changes_the_next_step() {
    let finished = run("transition", |asked| match asked {
        Decision::Transition(0, _) => Decision::Transition(0, Some("u".into())),
        _ => asked.clone(),
    });
    assert_eq!(output(&finished.await), "u");
    assert_eq!(output(&run("transition", |asked| transition(asked, None)).await), json!({"n": 1}));
    let astray = run("transition", |asked| transition(asked, Some("nowhere"))).await;
    assert_eq!(code(&astray), "unknown_step");
}

#[tokio::test(start_paused = true)]
async fn changing_a_generation_decision_changes_the_path_of_the_step() {
    let finished = run("route_generation", |_| Decision::RouteGeneration(1, 7)).await;
    assert_eq!(output(&finished), "t");
    assert!(finished.step("/main/a/s~7").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_branch_recorded_as_first_wins_the_race() {
    assert_eq!(output(&run("ended_nth", Decision::clone).await), "x");
    assert_eq!(output(&run_with("ended_nth", RecordedDecision(Decision::EndedNth(0, 1))).await), "y");
    assert_eq!(code(&run_with("ended_nth", RecordedDecision(Decision::EndedNth(0, 2))).await), "wrong_decision");
}

#[tokio::test(start_paused = true)]
async fn recorded_attempts_are_not_repeated() {
    let wake_at = "2026-01-01T00:01:00Z".parse().unwrap();
    let error = Box::new(StepError::transient("known", "failed before"));
    let finished =
        run_with("attempt", RecordedDecision(Decision::Attempt(1, Attempt::Failed { error, wake_at }))).await;
    assert_eq!((code(&finished), finished.step("a").unwrap().attempts), ("boom", 2));
    assert_eq!(finished.error.unwrap().attempt, 2);
    let given_up = run("attempt", |_| Decision::Attempt(1, Attempt::GivenUp)).await;
    assert_eq!((code(&given_up), given_up.step("a").unwrap().attempts), ("boom", 1));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_decided_retry_deadline() {
    let finished = run_of("last attempt", "last_begin", |asked| match asked {
        Decision::LastBegin(at) => Decision::LastBegin(*at - Duration::from_secs(60)),
        _ => asked.clone(),
    });
    assert_eq!(finished.await.step("a").unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn changing_deadline_and_wait_decisions_changes_when_the_step_ends() {
    let at = |second: i64| {
        jiff::Timestamp::from_second("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second() + second)
            .unwrap()
    };
    for second in [3, 30] {
        let finished = run("attempt_deadline", move |_| Decision::AttemptDeadline(1, at(second))).await;
        assert_eq!((code(&finished), seconds(&finished)), ("timeout", second));
        let finished = run("awaits", move |_| {
            Decision::Awaits(1, Awaited { signal: None, since: at(0), until: Some(at(second)) })
        })
        .await;
        assert_eq!((output(&finished), seconds(&finished)), (json!({"slept_until": at(second).to_string()}), second));
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_signal_ends_a_wait_immediately() {
    let signal = || Arc::new(Signal::new(4, "never", json!(1)));
    let finished = run_with("received", RecordedDecision(Decision::Received(1, Received::Signal(signal())))).await;
    assert_eq!((output(&finished), seconds(&finished)), (json!({"name": "never", "data": 1, "timed_out": false}), 0));
}

#[tokio::test(start_paused = true)]
async fn code_receives_the_decided_time_and_random_number() {
    let then: jiff::Timestamp = "1999-12-31T00:00:00Z".parse().unwrap();
    assert_eq!(output(&run("now", move |_| Decision::Now(0, then)).await)[0], then.to_string());
    assert_eq!(output(&run("random", |_| Decision::Random(0, 4)).await)[1], 4);
    assert_eq!(code(&run("input", |_| Decision::Input("other".into())).await), "journal_mismatch");
}

#[tokio::test(start_paused = true)]
async fn changing_a_conflict_decision_changes_the_joined_value() {
    let finished = run("resolved", |_| Decision::Resolved(0, json!(42))).await;
    let changes: Vec<_> =
        finished.state_changes.iter().map(|change| (change.path.to_string(), &**change.value().unwrap())).collect();
    assert_eq!(changes, [("k".to_owned(), &json!(42))]);
}
