//! A stuck step makes the enclosing steps stuck, and has no other effect.

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Driven, RunOptions, RunStatus, StepError, WorkflowInput,
    engine::{Call, Interceptor, Next, Outcome, Position, StepStatus, StuckStep},
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fail};

/// An interceptor that makes steps stuck if their ids start with `stuck`.
struct MakeStuck;

#[async_trait]
impl Interceptor for MakeStuck {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        if !call.step().id.starts_with("stuck") {
            return next.run(call).await;
        }
        let path = call.path().to_string();
        Outcome::Stuck(vec![StuckStep::new(
            path.clone(),
            StepError::configuration("unknown", "unknown outcome").at(path),
        )])
    }
}

fn stuck() -> Step {
    echo("stuck", json!(1))
}

async fn drive(definition: Definition) -> Driven {
    let engine = Lab::new().engine().interceptor(Position::Journal, MakeStuck).build();
    let plan = engine.prepare(definition).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let mut driven = std::pin::pin!(engine.drive(&run));
    tokio::select! {
        biased;
        driven = &mut driven => driven,
        _ = run.until_waiting() => {
            run.park();
            driven.await
        }
    }
}

/// Runs a definition; returns the paths of its stuck steps, and the results so far.
async fn stuck_steps(definition: Definition) -> (Vec<String>, Box<llmspell_workflows_basic::Finished>) {
    match drive(definition).await {
        Driven::Stuck { steps, so_far } => (steps.iter().map(ToString::to_string).collect(), so_far),
        other => panic!("the run is not stuck: {other:?}"),
    }
}

fn wait() -> Step {
    Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: "go".to_owned(), ..WaitForEvent::default() }))
}

#[tokio::test(start_paused = true)]
async fn steps_after_a_stuck_step_do_not_start() {
    let (steps, so_far) = stuck_steps(Definition::sequence("w", [stuck(), echo("after", json!(1))])).await;
    assert_eq!(steps, ["/main/stuck"]);
    assert_eq!((so_far.status, so_far.error.as_ref().unwrap().code.as_ref()), (RunStatus::Stuck, "unknown"));
    assert_eq!(so_far.step("stuck").unwrap().status, StepStatus::Stuck);
    assert!(so_far.step("after").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_step_triggers_no_retry_compensation_or_handler() {
    let block = Step::sequence("block", [stuck()])
        .with_retry(Retry::attempts(3))
        .with_on_error(OnError::Steps(vec![Arc::new(echo("handles", json!(1)))]));
    let paid = echo("paid", json!(1)).with_compensation(echo("undo", json!(1)));
    let definition =
        Definition { finally: vec![Arc::new(echo("last", json!(1)))], ..Definition::sequence("w", [paid, block]) };
    let (steps, so_far) = stuck_steps(definition).await;
    assert_eq!(steps, ["/main/block/stuck"]);
    let executed: Vec<_> = so_far.steps.iter().map(|step| step.path.to_string()).collect();
    assert_eq!(executed, ["/main", "/main/paid", "/main/block", "/main/block/stuck"]);
}

#[tokio::test(start_paused = true)]
async fn blocks_become_stuck_once_all_other_branches_have_ended() {
    let others = || [stuck(), echo("a", json!(1)), fail("b")];
    let each = Loop::items(json!([1, 2]), [stuck()]).parallel(2).into_step("each");
    for (block, expected) in [
        (Parallel::new(others()).into_step("both"), vec!["/main/both/stuck"]),
        (
            Parallel::new([stuck(), fail("b")]).with_error_mode(ErrorMode::FailFast).into_step("both"),
            vec!["/main/both/stuck"],
        ),
        (
            Parallel::new([stuck(), echo("a", json!(1))]).with_aggregation(Aggregation::First).into_step("both"),
            vec!["/main/both/stuck"],
        ),
        (each, vec!["/main/each[0]/stuck", "/main/each[1]/stuck"]),
    ] {
        let name = block.id.clone();
        let (mut steps, so_far) = stuck_steps(Definition::sequence("w", [block])).await;
        steps.sort();
        assert_eq!(steps, expected);
        assert_eq!(so_far.step(&name).unwrap().status, StepStatus::Stuck, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_with_a_stuck_step_parks_while_another_branch_waits() {
    let block = Parallel::new([stuck(), wait()]).into_step("both");
    let driven = drive(Definition::sequence("w", [block])).await;
    assert!(matches!(&driven, Driven::Parked(wait) if wait.inbox_after.is_some()), "{driven:?}");
}

#[tokio::test(start_paused = true)]
async fn stuck_steps_of_a_sub_workflow_are_listed_with_the_enclosing_step() {
    let child = Definition::sequence("child", [stuck()]);
    let engine = Lab::new().engine().interceptor(Position::Journal, MakeStuck).workflow(child).build();
    let call = Step::workflow("call", "child", Value::Null);
    let plan = engine.prepare(Definition::sequence("w", [call])).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let Driven::Stuck { steps, .. } = engine.drive(&run).await else { panic!("the run is not stuck") };
    assert_eq!(steps[0].to_string(), "/main/call/main/stuck");
    assert_eq!(
        (steps[0].around.as_slice(), steps[0].path.as_str()),
        (["/main/call".to_owned()].as_slice(), "/main/stuck")
    );
}
